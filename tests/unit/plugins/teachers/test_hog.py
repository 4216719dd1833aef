"""The teacher `hog`: what its channels mean, and that padding has no say."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vlmkit.api import CLIP_MEAN, CLIP_STD, IMAGENET_MEAN, IMAGENET_STD, VideoBatch
from vlmkit_teachers.spec import HogSpec

SMALL = {"size": 32, "multiple": 8}
SPEC = HogSpec(patch=8, orientations=8, input=SMALL)


def normalized(rgb: Tensor, mean: tuple[float, ...] = CLIP_MEAN, std: tuple[float, ...] = CLIP_STD) -> Tensor:
    """(B, T, 3, H, W) in 0..1 -> normalized."""
    return (rgb - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


def ramp(angle: float) -> Tensor:
    """(1, 1, 3, 32, 32) a gray ramp that rises in the direction `angle`, clockwise from the right."""
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    gray = 0.5 + 0.009 * (columns * math.cos(angle) + rows * math.sin(angle) - 16)
    return gray.clamp(0, 1).expand(1, 1, 3, 32, 32)


def features(rgb: Tensor, spec: HogSpec = SPEC) -> Tensor:
    return spec.build()(VideoBatch.full(normalized(rgb, spec.input.mean, spec.input.std)))


@pytest.mark.parametrize("index", range(8))
def test_gradient_falls_into_its_bin(index: int) -> None:
    inner = features(ramp(index * math.pi / 8))[0, 0, 1:3, 1:3, :8]
    assert (inner.argmax(-1) == index).all()
    assert (inner[..., index] > 10 * inner.sum(-1).sub(inner[..., index])).all()


def test_gradient_between_two_bins_is_shared() -> None:
    inner = features(ramp(1.5 * math.pi / 8))[0, 0, 1, 1, :8]
    assert inner[1] == pytest.approx(inner[2].item(), rel=1e-3)
    assert inner[1] > 0.1


def test_edge_of_either_sign_is_the_same() -> None:
    bright = ramp(0.3)
    torch.testing.assert_close(features(bright)[..., :8], features(1 - bright)[..., :8], atol=1e-5, rtol=0)


def test_vertical_edge_stands_where_it_is() -> None:
    rgb = torch.zeros(1, 1, 3, 32, 32)
    rgb[..., 20:] = 1  # within the third column of patches
    strength = features(rgb)[0, 0, :, :, 0]
    assert (strength[:, 2] > 0.9).all()
    assert (strength[:, [0, 1, 3]] == 0).all()


def test_flat_patches_have_only_flatness() -> None:
    flat = features(torch.full((1, 1, 3, 32, 32), 0.7))
    torch.testing.assert_close(flat[..., :8], torch.zeros_like(flat[..., :8]))
    torch.testing.assert_close(flat[..., 8], torch.ones_like(flat[..., 8]))


@pytest.mark.parametrize("channel", range(3))
def test_color_stands_in_its_channel(channel: int) -> None:
    rgb = torch.zeros(1, 1, 3, 32, 32)
    rgb[:, :, channel, :, :16] = 1
    rgb[:, :, channel, :, 16:] = 1 / 3
    color = features(rgb)[0, 0, :, :, 9:]
    others = [other for other in range(3) if other != channel]
    torch.testing.assert_close(color[:, :2, channel], torch.ones(4, 2))
    torch.testing.assert_close(color[:, 2:, channel], torch.full((4, 2), 0.5))  # sin(pi/6)
    torch.testing.assert_close(color[..., others], torch.zeros(4, 4, 2))
    torch.testing.assert_close(color[..., [3 + other for other in others]], torch.ones(4, 4, 2))


def test_normalization_is_undone() -> None:
    rgb = torch.rand(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    imagenet = SPEC.model_copy(
        update={"input": SPEC.input.model_copy(update={"mean": IMAGENET_MEAN, "std": IMAGENET_STD})}
    )
    torch.testing.assert_close(features(rgb), features(rgb, imagenet), atol=1e-5, rtol=0)


@pytest.mark.parametrize("cells", [1, 2, 4])
def test_bounded_with_constant_norm(cells: int) -> None:
    spec = HogSpec(patch=8, orientations=6, cells=cells, input=SMALL)
    out = features(torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(2)), spec)
    assert tuple(out.shape) == (2, 3, *spec.grid(), spec.width)
    assert out.min() >= 0
    assert out.max() <= 1
    torch.testing.assert_close(out.norm(dim=-1), torch.full(out.shape[:-1], 2.0))


def test_cells_of_a_patch_stand_apart() -> None:
    rgb = torch.zeros(1, 1, 3, 8, 8)
    rgb[..., :4, 2:] = 1  # a vertical edge in the upper left cell only
    spec = HogSpec(patch=8, orientations=4, cells=2, input={"size": 8, "multiple": 8})
    upper_left = features(rgb, spec)[0, 0, 0, 0, :20].view(5, 4)[0]  # (bin or flatness, cell)
    assert upper_left[0] > 0.4
    assert (upper_left[1:] < 0.1).all()


def test_the_step_to_the_padding_is_no_edge() -> None:
    pixels = torch.zeros(1, 1, 3, 32, 32)  # zeros are the color of the padding
    pixels[..., 8:24, :] = 2.0
    content = torch.tensor([[8, 24, 0, 32]])
    out = SPEC.build()(VideoBatch(pixels, content, torch.ones(1, 1, dtype=torch.bool)))
    assert (out[..., :8] == 0).all()


def test_a_video_is_its_own_whatever_the_padding_of_another() -> None:
    pixels = torch.randn(2, 2, 3, 32, 32, generator=torch.Generator().manual_seed(3))
    content = torch.tensor([[8, 24, 0, 32], [0, 32, 8, 16]])
    frames = torch.ones(2, 2, dtype=torch.bool)
    teacher = SPEC.build()
    both = teacher(VideoBatch(pixels, content, frames))
    alone = teacher(VideoBatch(pixels[1:], content[1:], frames[1:]))
    torch.testing.assert_close(both[1:], alone, atol=0, rtol=0)


def test_keeps_the_dtype_of_the_pixels_and_stays_close() -> None:
    rgb = torch.rand(1, 1, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    video = VideoBatch.full(normalized(rgb))
    full, half = SPEC.build()(video), SPEC.build().to(torch.bfloat16)(video.to(dtype=torch.bfloat16))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), full, atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch": 10}, "input.size 32 is not a multiple of the patch side 10"),
        ({"patch": 16}, "input.multiple 8 is not a multiple of the patch side 16"),
        ({"patch": 8, "cells": 3}, "patch 8 is not a multiple of the number of cells per side, 3"),
    ],
)
def test_grids_that_do_not_divide_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HogSpec(input=SMALL, **options)
