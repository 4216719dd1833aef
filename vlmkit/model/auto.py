"""Make transformers know `vlmkit`: its Auto classes, its pipelines, and what its server looks models up in."""

from __future__ import annotations

from typing import Any

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)
from transformers.pipelines import PIPELINE_REGISTRY
from transformers.utils import is_torchvision_available

from vlmkit.model.config import VideoLMConfig
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.videolm import VideoLM

__all__ = ["register"]

_AUTO_CLASSES = (AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM)
_NAMES: tuple[dict[str, Any], ...] = (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)
"""In these pipelines and `transformers serve` look a model up, beside the Auto classes."""
_TASK = "any-to-any"
_PIPELINE = "vlmkit.model.any_to_any.AnyToAny"
"""By its name, as transformers' own: pipelines are imported when one is made."""


def register() -> None:
    """Register the classes. Where torchvision is missing, the pipeline `any-to-any` becomes one that does without it
    for a `VideoLM`."""
    kind = VideoLMConfig.model_type
    AutoConfig.register(kind, VideoLMConfig, exist_ok=True)
    AutoProcessor.register(VideoLMConfig, VideoLMProcessor, exist_ok=True)
    for auto in _AUTO_CLASSES:
        auto.register(VideoLMConfig, VideoLM, exist_ok=True)
    for names in _NAMES:
        names[kind] = VideoLM.__name__
    if not is_torchvision_available():
        PIPELINE_REGISTRY.supported_tasks[_TASK]["impl"] = _PIPELINE
