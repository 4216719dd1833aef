"""The model: composed from a spec, run, saved, loaded. Importing it makes transformers know `vlmkit`."""

from __future__ import annotations

from vlmkit.model.auto import register
from vlmkit.model.compose import build, compose
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.distillation import DistillationHead, build_head, distillation_loss
from vlmkit.model.model_output import VideoLMOutput
from vlmkit.model.pretrained import load
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.tokens import Encoded
from vlmkit.model.videolm import VideoLM

__all__ = [
    "DistillationHead",
    "Encoded",
    "VideoLM",
    "VideoLMConfig",
    "VideoLMOutput",
    "VideoLMProcessor",
    "build",
    "build_head",
    "compose",
    "distillation_loss",
    "load",
]

register()
