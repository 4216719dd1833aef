"""Visual tokens that were computed before, in the place of videos."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from vlmkit.data import FittedVideo
from vlmkit.model import VideoLM, VideoLMProcessor

Composed = tuple[VideoLM, VideoLMProcessor]
Clips = Callable[..., FittedVideo]
PIXELS = ("pixel_values_videos", "content_box", "frame_mask")


@pytest.fixture
def batches(composed: Composed, make_clip: Clips) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Three questions, one without video, padded left; the same with visual tokens, of which padding is no number."""
    model, processor = composed
    questions = ["<video>\nred?", "hello", "<video>\nwhich way does the red circle move?"]
    whole = dict(processor([processor.prompt(q) for q in questions], [make_clip(0, wide=True), make_clip(1)]))
    tokens = model.get_video_features(**{name: whole[name] for name in PIXELS})
    embeds = tokens.embeddings.detach().masked_fill(~tokens.mask[..., None], torch.nan)
    text = {name: value for name, value in whole.items() if name not in PIXELS}
    return whole, {**text, "visual_embeds": embeds, "visual_mask": tokens.mask}


def test_a_forward_is_the_same(composed: Composed, batches: Any) -> None:
    whole, computed = (composed[0](**batch) for batch in batches)
    assert torch.equal(whole.logits, computed.logits)
    assert torch.equal(whole.positions, computed.positions)


@pytest.mark.parametrize("more", [{}, {"use_cache": False}, {"num_beams": 2}])
def test_generation_is_the_same(composed: Composed, batches: Any, more: dict[str, Any]) -> None:
    whole, computed = (composed[0].generate(**batch, max_new_tokens=6, do_sample=False, **more) for batch in batches)
    assert torch.equal(whole, computed)
    assert len({tuple(row) for row in whole[:, -6:].tolist()}) == 3


def test_without_a_mask_every_token_stands(composed: Composed, make_clip: Clips) -> None:
    model, processor = composed
    batch = dict(processor(processor.prompt("<video>\nred?"), make_clip(0)))
    embeds = model.get_video_features(*(batch.pop(name) for name in PIXELS)).embeddings
    assert torch.equal(model(**batch, visual_embeds=embeds).positions[0, :, 1], torch.arange(3, 31))
    with pytest.raises(ValueError, match=r"1 videos give \[27\] visual tokens"):
        model(**batch, visual_embeds=embeds[:, :27])
