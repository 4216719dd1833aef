"""Layers inside the LLM with several videos in a text, and with words of the aligner around its tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor, compose
from vlmkit.model.token_context import token_cells
from vlmkit.registry import registry
from vlmkit.spec.experiment import ModelSpec

Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]
QUESTIONS = ("<video>\nred or <video>?", "hello", "<video>\nwhich way?")
ALIGNERS = {
    "stab": {},
    "neo": {"type": "neo", "width": 16, "patch": 4,
            "input": {"frames": 4, "multiple": 8, "min_pixels": 64, "max_pixels": 1024}},
}  # fmt: skip


@pytest.fixture(params=[(aligner, layers) for aligner in ALIGNERS for layers in ("eve-v2", "neo")])
def layered(request: Any, make_spec: Any) -> Composed:
    """A model whose text and visual tokens take clearly different ways."""
    aligner, name = request.param
    layers = registry().get("layers", name).spec.tiny()
    family = layers.families[0]
    spec = make_spec(config={"model_type": family} | ({"head_dim": 8} if family == "qwen3" else {}))
    given = {"aligner": ALIGNERS[aligner] or spec.aligner.model_dump(), "backbone": spec.backbone.model_dump()}
    model, processor = compose(ModelSpec.model_validate(given).model_copy(update={"layers": layers}), seed=3)
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for parameter in (*model.layers.parameters(), *model.backbone.parameters()):
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.2)
    return model, processor


@pytest.fixture
def clips() -> list[FittedVideo]:
    """Three of other sides, lengths and times."""
    drawn = np.random.default_rng(1)
    sides = [(4, 16, 32), (2, 32, 16), (3, 16, 16)]
    return [drawn.integers(0, 255, (*each, 3), np.uint8) for each in sides]


def test_a_row_with_several_videos_is_the_same_alone(layered: Composed, clips: Any) -> None:
    model, processor = layered
    batch = processor([processor.prompt(question) for question in QUESTIONS], clips)
    together = model(**batch).logits
    for row, own in ((0, clips[:2]), (1, None), (2, clips[2:])):
        alone = model(**processor([processor.prompt(QUESTIONS[row])], own)).logits[0]
        shown = batch["attention_mask"][row].bool()
        torch.testing.assert_close(together[row, shown], alone, atol=1e-4, rtol=1e-4)


def test_beams_of_tokens_that_were_made_before(layered: Composed, clips: Any) -> None:
    model, processor = layered
    batch = dict(processor([processor.prompt(question) for question in QUESTIONS], clips))
    expected = model.generate(**batch, num_beams=3, num_return_sequences=2, max_new_tokens=4)
    pixels = {name: batch.pop(name) for name in ("pixel_values_videos", "content_box", "frame_mask")}
    tokens = model.get_video_features(**pixels)
    given = {"visual_embeds": tokens.embeddings, "visual_mask": tokens.mask, "visual_cells": token_cells(tokens)}
    assert torch.equal(
        model.generate(**batch, **given, num_beams=3, num_return_sequences=2, max_new_tokens=4), expected
    )


def test_neo_counts_a_frame_and_each_word_around_it_as_one_step(make_spec: Any, clips: Any) -> None:
    layers = registry().get("layers", "neo").spec.tiny()
    backbone = make_spec(config={"model_type": "qwen3", "head_dim": 8}).backbone.model_dump()
    spec = ModelSpec.model_validate({"aligner": ALIGNERS["neo"], "backbone": backbone, "layers": layers.model_dump()})
    model, processor = compose(spec, seed=3)
    video = processor.fit(clips[1])
    timed = FittedVideo(video.pixels, video.content_box, video.num_frames_present, (0.0, 61.5))
    batch = processor([processor.prompt("<video>\nred?")], [timed])
    output = model(**batch)
    ids = batch["input_ids"][0]
    words = ids[ids != processor.video_token_id]
    assert "[00:00.00]:<img></img>\n[01:01.50]:<img></img>\nred?" in processor.tokenizer.decode(words)
    assert len(ids) - len(words) == 2 * 4 * 2
    assert output.next_positions.tolist() == [len(words) + 2]
