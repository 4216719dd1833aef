"""A tiny model and clips for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose
from vlmkit.spec.experiment import ModelSpec

ALIGNER = {"type": "stab", "width": 16, "input": {"size": 56, "frames": 4}}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
}
BACKBONE = {
    "type": "hf-causal-lm",
    "init": "random",
    "config": LLAMA,
    "tokenizer": {"text": ["what colour is the circle? red", "which way does it move? left"], "vocab_size": 300},
    "chat_template": "plain",
}
SpecMaker = Callable[..., ModelSpec]
ClipMaker = Callable[..., FittedVideo]


@pytest.fixture
def make_spec() -> SpecMaker:
    """The tiny model's spec, with changes: `make_spec(config={…}, backbone={…}, aligner={…})`."""

    def make(config: dict[str, Any] | None = None, **parts: dict[str, Any]) -> ModelSpec:
        backbone = BACKBONE | {"config": LLAMA | (config or {})} | parts.get("backbone", {})
        return ModelSpec.model_validate({"aligner": ALIGNER | parts.get("aligner", {}), "backbone": backbone})

    return make


@pytest.fixture
def composed(make_spec: SpecMaker) -> tuple[VideoLM, VideoLMProcessor]:
    """The tiny model in eval mode, and its processor."""
    return compose(make_spec(), seed=3)


@pytest.fixture
def make_clip() -> ClipMaker:
    """Noise on the tiny model's canvas: 28 tokens, or 16 with `wide=True` (a letterboxed one)."""

    def make(seed: int = 0, wide: bool = False) -> FittedVideo:
        pixels = np.random.default_rng(seed).integers(0, 255, (4, 56, 56, 3), np.uint8)
        return FittedVideo(pixels, (0, 28, 0, 56) if wide else (0, 56, 0, 56), 4)

    return make
