"""The model: composed from a spec, run, saved, loaded. Importing it makes transformers' Auto classes know `vlmkit`."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from vlmkit.model.compose import build, compose
from vlmkit.model.config import VideoLMConfig
from vlmkit.model.distillation import DistillationHead, build_head, distillation_loss
from vlmkit.model.pretrained import load
from vlmkit.model.processor import VideoLMProcessor
from vlmkit.model.tokens import Encoded
from vlmkit.model.videolm import VideoLM, VideoLMOutput

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

AutoConfig.register(VideoLMConfig.model_type, VideoLMConfig, exist_ok=True)
for auto in (AutoModel, AutoModelForCausalLM, AutoModelForImageTextToText):
    auto.register(VideoLMConfig, VideoLM, exist_ok=True)
AutoProcessor.register(VideoLMConfig, VideoLMProcessor, exist_ok=True)
