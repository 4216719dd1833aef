"""The downsamplers against slow, obvious versions of themselves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vlmkit.api import DownsamplerSpec
from vlmkit.testing.module_checks import operator_calls
from vlmkit_pooling.spec import AdaptivePoolSpec, AvgPoolSpec, HalfResolutionSpec, NoneSpec, PerceiverSpec

SPECS: list[DownsamplerSpec] = [
    AdaptivePoolSpec(height=3, width=2),
    AvgPoolSpec(),
    AvgPoolSpec(window=4),
    HalfResolutionSpec(),
    NoneSpec(),
    PerceiverSpec(latents=9, heads=2, dim_head=3, rows=True),
    PerceiverSpec(latents=5, depth=2, heads=2, dim_head=3),
]


def features(frames: int, height: int = 8, width: int = 4, channels: int = 6) -> Tensor:
    return torch.randn(frames, height, width, channels, generator=torch.Generator().manual_seed(frames))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_shape_is_what_the_grid_says(spec: DownsamplerSpec) -> None:
    out = spec.build(6)(features(3))
    assert out.shape == (3, *spec.grid(8, 4), 6)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_operator_calls_do_not_grow_with_frames(spec: DownsamplerSpec) -> None:
    module, few, many = spec.build(6).eval(), features(3), features(12)
    with torch.no_grad():
        assert operator_calls(lambda: module(few)) == operator_calls(lambda: module(many))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_frames_do_not_depend_on_one_another(spec: DownsamplerSpec) -> None:
    module, x = spec.build(6).eval(), features(6)
    torch.testing.assert_close(module(x)[2:], module(x[2:]))


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_gradients_reach_input_and_parameters(spec: DownsamplerSpec) -> None:
    module, x = spec.build(6), features(3).requires_grad_()
    module(x).pow(2).sum().backward()
    assert x.grad is not None
    assert x.grad.abs().amin((0, 1, 2)).gt(0).any()
    for name, parameter in module.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_spec_round_trip(spec: DownsamplerSpec) -> None:
    assert type(spec).model_validate(spec.model_dump(mode="json")) == spec


@pytest.mark.parametrize("window", [2, 4])
def test_avg_pool_is_the_mean_of_each_window(window: int) -> None:
    x = features(3)
    out = AvgPoolSpec(window=window).build(6)(x)
    for i in range(8 // window):
        for j in range(4 // window):
            cells = x[:, i * window : (i + 1) * window, j * window : (j + 1) * window]
            torch.testing.assert_close(out[:, i, j], cells.mean((1, 2)))


@pytest.mark.parametrize("target", [(4, 2), (3, 3), (5, 4), (9, 7)])
def test_adaptive_pool_is_the_mean_of_each_bin(target: tuple[int, int]) -> None:
    x, (rows, columns) = features(2), target
    out = AdaptivePoolSpec(height=rows, width=columns).build(6)(x)
    for i in range(rows):
        for j in range(columns):
            top, bottom = math.floor(i * 8 / rows), math.ceil((i + 1) * 8 / rows)
            left, right = math.floor(j * 4 / columns), math.ceil((j + 1) * 4 / columns)
            torch.testing.assert_close(out[:, i, j], x[:, top:bottom, left:right].mean((1, 2)))


@pytest.mark.parametrize("spec", [NoneSpec(), HalfResolutionSpec()], ids=str)
def test_identity(spec: DownsamplerSpec) -> None:
    x = features(2)
    assert torch.equal(spec.build(6)(x), x)


def test_only_half_resolution_asks_for_fewer_pixels() -> None:
    assert {spec.type for spec in SPECS if spec.pixel_stride != 1} == {"half-resolution"}
    assert HalfResolutionSpec.pixel_stride == 2


@pytest.mark.parametrize(("height", "width"), [(7, 4), (8, 5)])
def test_avg_pool_refuses_what_it_cannot_tile(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"2x2 patches do not tile {height}x{width}"):
        AvgPoolSpec().grid(height, width)
    with pytest.raises(ValueError, match=f"2x2 patches do not tile {height}x{width}"):
        AvgPoolSpec().build(6)(features(1, height, width))
