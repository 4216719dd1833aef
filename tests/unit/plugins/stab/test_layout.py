"""Where stab's tokens stand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from vlmkit.api import VideoBatch, VideoShape
from vlmkit_stab.spec import StabSpec

FULL, WIDE, TALL = (0, 48, 0, 48), (16, 32, 0, 48), (0, 48, 16, 48)


@pytest.mark.parametrize(
    ("width", "height", "tokens"), [(448, 448, 2184), (640, 480, 1640), (1280, 720, 1232), (720, 1280, 1288)]
)
def test_tokens_of_common_aspect_ratios(width: int, height: int, tokens: int) -> None:
    spec = StabSpec()
    layout = spec.layout(spec.input.shape(width, height))
    assert layout.tokens == tokens
    assert (layout.patches >= 0).sum() + len(layout.rows) + 8 == tokens


def test_padded_frames_give_73_tokens() -> None:
    spec = StabSpec()
    layout = spec.layout(spec.input.shape(448, 448, num_frames_present=6))
    assert layout.tokens == 6 * 273 + 2 * 73
    assert (layout.patches[6:] == -1).all()


def test_positions_of_a_wide_video(tiny: Callable[..., StabSpec]) -> None:
    layout = tiny().layout(VideoShape(8, 48, 48, WIDE, 7))
    # A frame is CLS, 3 patches, 1 row token; the padded frame is CLS and 3 rows of 4.
    assert layout.tokens == 7 * 5 + 13
    assert layout.patches.shape == (8, 3, 3)
    assert layout.patches[1].tolist() == [[-1, -1, -1], [6, 7, 8], [-1, -1, -1]]
    assert layout.rows.tolist() == [5 * t + 4 for t in range(7)] + [39, 43, 47]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"row_tokens": False},
        {"fsra": False, "gstra": False},
        {"gstra": False},
        {"downsampler_position": "before-lste"},
        {"downsampler": "avg-pool"},
        {"downsampler": "none"},
        {"downsampler": {"type": "perceiver", "latents": 5}},
        {"downsampler": {"type": "perceiver", "latents": 9, "rows": True}},
        {"downsampler": {"type": "adaptive-pool", "height": 2, "width": 2}},
    ],
    ids=str,
)
def test_forward_agrees(
    tiny: Callable[..., StabSpec], videos: Callable[..., VideoBatch], options: dict[str, object]
) -> None:
    spec = tiny(**options)
    video = videos([FULL, WIDE, TALL, WIDE], [8, 8, 5, 3])
    with torch.no_grad():
        visual = spec.build(32).eval()(video)
    layouts = [spec.layout(shape) for shape in video.shapes()]
    assert visual.mask.sum(1).tolist() == [layout.tokens for layout in layouts]
    assert visual.embeddings.shape == (4, max(layout.tokens for layout in layouts), 32)
    for row, layout in enumerate(layouts):
        assert visual.mask[row, : layout.tokens].all()
        assert (visual.embeddings[row, layout.tokens :] == 0).all()
        assert np.array_equal(visual.patches[row].numpy(), layout.patches)


def test_row_tokens_stand_where_the_layout_says(
    tiny: Callable[..., StabSpec], videos: Callable[..., VideoBatch]
) -> None:
    spec = tiny(projector="identity")
    aligner, video = spec.build(64).eval(), videos([TALL], [6])
    with torch.no_grad():
        tokens = aligner(video).embeddings[0]
    equal = (tokens == aligner.row_token).all(1).nonzero().flatten()
    assert equal.tolist() == spec.layout(video.shapes()[0]).rows.tolist()


def test_half_resolution_has_the_same_layout(tiny: Callable[..., StabSpec]) -> None:
    shape = VideoShape(8, 48, 48, WIDE, 6)
    half = tiny(downsampler="half-resolution").layout(shape)
    assert np.array_equal(half.patches, tiny().layout(shape).patches)
    spec = StabSpec(downsampler="half-resolution")
    assert spec.layout(spec.input.shape(448, 448, num_frames_present=7)).tokens == 7 * 273 + 73


def test_a_perceiver_without_rows_has_no_row_tokens(tiny: Callable[..., StabSpec]) -> None:
    layout = tiny(downsampler={"type": "perceiver", "latents": 5}).layout(VideoShape(8, 48, 48, FULL, 8))
    assert layout.tokens == 8 * 6
    assert len(layout.rows) == 0
    assert (layout.patches == -1).all()


def test_videos_that_do_not_fit(tiny: Callable[..., StabSpec]) -> None:
    with pytest.raises(ValueError, match=r"chunk_frames is 4, which does not divide 6 frames"):
        tiny().layout(VideoShape(6, 48, 48, FULL, 6))
    with pytest.raises(ValueError, match=r"canvas \(52, 48\) is not made of whole patches of 8 pixels"):
        tiny().layout(VideoShape(8, 52, 48, FULL, 8))
    with pytest.raises(ValueError, match=r"lsd: windows of 2x2 patches do not tile 3x6 patches"):
        tiny().layout(VideoShape(8, 48, 48, (0, 24, 0, 48), 8))
