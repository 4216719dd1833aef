"""Every switch of stab: it builds, runs, learns, and has the parameters it should."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vlmkit.api import VideoBatch
from vlmkit_stab.spec import StabSpec

FULL, WIDE = (0, 48, 0, 48), (16, 32, 0, 48)
SWITCHES = [
    {},
    {"row_tokens": False},
    {"fsra": False},
    {"gstra": False},
    {"gstra": False, "cls_head": False},
    {"fsra": False, "gstra": False},
    {"lste": False},
    {"lste": False, "gstra": False},
    {"dpe": False},
    {"lmhra": False},
    {"dense": False},
    {"cls_head": False},
    {"chunk_frames": 1},
    {"chunk_frames": 2},
    {"chunk_frames": "all"},
    {"downsampler_position": "before-lste"},
    {"downsampler_position": "before-lste", "downsampler": "avg-pool"},
    {"downsampler": "avg-pool"},
    {"downsampler": "half-resolution"},
    {"downsampler": {"type": "perceiver", "latents": 4}},
    {"downsampler": {"type": "adaptive-pool", "height": 3, "width": 3}},
    {"downsampler": "none"},
    {"gstra_heads": 2, "mlp_ratio": 2, "projector": "mlp2x_gelu"},
]


@pytest.mark.parametrize("options", SWITCHES, ids=str)
def test_runs_and_every_parameter_learns(
    tiny: Callable[..., StabSpec],
    videos: Callable[..., VideoBatch],
    awake: Callable[[nn.Module], nn.Module],
    options: dict[str, object],
) -> None:
    aligner = awake(tiny(**options).build(32)).train()
    visual = aligner(videos([FULL, WIDE], [8, 6]))
    assert visual.embeddings.isfinite().all()
    (visual.embeddings * torch.randn_like(visual.embeddings)).sum().backward()
    still = [name for name, p in aligner.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


@pytest.mark.parametrize(
    ("options", "parameters"),
    [
        ({}, 45_066_578),
        ({"row_tokens": False}, 45_065_554),
        ({"fsra": False}, 40_865_106),
        ({"gstra": False}, 32_466_258),
        ({"gstra": False, "cls_head": False}, 31_414_610),
        ({"fsra": False, "gstra": False}, 27_214_162),
        ({"lste": False}, 43_634_688),
        ({"dpe": False}, 45_037_906),
        ({"lmhra": False}, 43_663_360),
        ({"downsampler": "avg-pool"}, 40_867_154),
        ({"downsampler": "half-resolution"}, 40_867_154),
        ({"lste": False, "gstra": False, "cls_head": False}, 29_982_720),
    ],
    ids=str,
)
def test_parameters(options: dict[str, object], parameters: int) -> None:
    with torch.device("meta"):
        aligner = StabSpec.model_validate(options).build(4096)
    assert sum(p.numel() for p in aligner.parameters()) == parameters


def test_multiply_accumulates_of_a_square_video() -> None:
    with torch.device("meta"):
        aligner = StabSpec().build(4096).eval()
        video = VideoBatch.full(torch.empty(1, 8, 3, 448, 448))
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        visual = aligner(video)
    assert visual.embeddings.shape == (1, 2184, 4096)
    assert counter.get_total_flops() / 2 <= 70e9


def test_a_switch_that_is_off_leaves_the_rest_alone(
    tiny: Callable[..., StabSpec], videos: Callable[..., VideoBatch], awake: Callable[[nn.Module], nn.Module]
) -> None:
    """With LSTE that adds nothing, no dense connection equals no LSTE."""
    video = videos([FULL])
    plain = awake(tiny(lste=False).build(32))
    silent = tiny(dense=False).build(32).eval()
    silent.load_state_dict(plain.state_dict(), strict=False)
    nn.init.zeros_(silent.lste.dpe.weight)
    with torch.no_grad():
        assert torch.allclose(plain(video).embeddings, silent(video).embeddings, atol=1e-6)


def test_one_chunk_sees_the_whole_video(
    tiny: Callable[..., StabSpec], videos: Callable[..., VideoBatch], awake: Callable[[nn.Module], nn.Module]
) -> None:
    video = videos([FULL])
    changed = VideoBatch.full(video.pixels.clone())
    changed.pixels[:, 7] += 1
    for chunk, first_frames_change in ((4, False), ("all", True)):
        aligner = awake(tiny(chunk_frames=chunk).build(32))
        with torch.no_grad():
            before, after = aligner(video).embeddings[0, :13], aligner(changed).embeddings[0, :13]
        assert torch.equal(before, after) is not first_frames_change


def test_before_lste_takes_the_padding_off_afterwards(
    tiny: Callable[..., StabSpec], videos: Callable[..., VideoBatch], awake: Callable[[nn.Module], nn.Module]
) -> None:
    """LSD knows nothing beyond its window, so that without LSTE and GSTRA the order of cropping is all the same."""
    video = videos([FULL, WIDE], [8, 5])
    before, after = (
        awake(tiny(lste=False, gstra=False, downsampler_position=position).build(32))
        for position in ("before-lste", "after-lste")
    )
    before.load_state_dict(after.state_dict())
    with torch.no_grad():
        assert torch.allclose(before(video).embeddings, after(video).embeddings, atol=1e-5)
