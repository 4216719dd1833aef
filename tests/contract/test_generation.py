"""Every aligner that reads text or gives prompts generates the same with a cache and without, with all layers that go
with it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose
from vlmkit.registry import registry
from vlmkit.spec.experiment import ModelSpec

QUESTIONS = ("say what happens", "what colour is the circle in the middle of it?")
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
         "intermediate_size": 64}  # fmt: skip
TINY = {kind: {name: registry().get(kind, name).spec.tiny() for name in registry().names(kind)}
        for kind in ("aligner", "layers")}  # fmt: skip
PAIRS = [(aligner, layers) for aligner, spec in TINY["aligner"].items() if spec.text_input or spec.num_prompts
         for layers in ("", *TINY["layers"])
         if spec.num_prompts == (TINY["layers"][layers].num_prompts if layers else 0)]  # fmt: skip
"""Aligners that read text or give prompts, and layers that read as many prompts as they give."""


@pytest.fixture
def talker(request: Any) -> tuple[VideoLM, VideoLMProcessor]:
    """A model whose answers depend on its input."""
    aligner, layers = request.param
    known = TINY["layers"].get(layers)
    family = known.families[0] if known is not None else "llama"
    config = {"model_type": family, **SIZES} | ({"head_dim": 8} if family == "qwen3" else {})
    backbone = {"type": "hf-causal-lm", "init": "random", "config": config,
                "tokenizer": {"text": list(QUESTIONS), "vocab_size": 300}, "chat_template": "plain"}  # fmt: skip
    spec = ModelSpec.model_validate({"aligner": TINY["aligner"][aligner], "backbone": backbone,
                                     "layers": known})  # fmt: skip
    model, processor = compose(spec, seed=3)
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(3)
    return model, processor


@pytest.mark.parametrize("talker", PAIRS, indirect=True, ids="-".join)
def test_with_a_cache_and_without_alone_and_in_a_batch(talker: tuple[VideoLM, VideoLMProcessor]) -> None:
    model, processor = talker
    canvas = processor.aligner.input
    drawn = np.random.default_rng(0)
    sides = canvas.frames, canvas.size, canvas.size, 3
    clips = [FittedVideo(drawn.integers(0, 255, sides, np.uint8), (0, canvas.size, 0, canvas.size), canvas.frames)
             for _ in QUESTIONS]  # fmt: skip

    def generate(rows: slice, **options: Any) -> list[list[int]]:
        asked = QUESTIONS[rows]
        prompts = [processor.prompt(f"<video>\n{question}") for question in asked]
        inputs = processor(prompts, clips[rows], questions=list(asked))
        found = model.generate(**inputs, max_new_tokens=5, do_sample=False, **options)
        answers: list[list[int]] = found[:, inputs["input_ids"].shape[1] :].tolist()
        return answers

    cached = generate(slice(0, 2))
    assert cached == generate(slice(0, 2), use_cache=False)
    assert cached == generate(slice(0, 1)) + generate(slice(1, 2))
    assert cached[0] != cached[1]
