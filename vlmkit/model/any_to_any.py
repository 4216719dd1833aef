"""The pipeline `any-to-any` of transformers on machines without torchvision.

transformers asks for torchvision as soon as a model takes pictures, whatever its processor needs; the one of vlmkit
decodes and fits them by itself.
"""

from __future__ import annotations

from typing import Any

from transformers import Pipeline
from transformers.pipelines.any_to_any import AnyToAnyPipeline

from vlmkit.model.config import VideoLMConfig

__all__ = ["AnyToAny"]


class AnyToAny(AnyToAnyPipeline):
    """transformers' own, which for a model of vlmkit does not ask for torchvision; for others it does."""

    def __init__(self, model: Any, *args: Any, **kwargs: Any) -> None:
        start = Pipeline if model.config.model_type == VideoLMConfig.model_type else AnyToAnyPipeline
        start.__init__(self, model, *args, **kwargs)
