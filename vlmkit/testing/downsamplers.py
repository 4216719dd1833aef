"""What every downsampler promises. Each check takes a small spec and raises an AssertionError."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.modules import Downsampler
from vlmkit.errors import PluginError
from vlmkit.testing.counting import operator_calls
from vlmkit.testing.expecting import same_bits

__all__ = ["CHECKS"]

WIDTH = 32
GRIDS = ((4, 4), (2, 4), (8, 4), (6, 6), (16, 16))
"""Patches that every check may see: height, width."""


def _make(spec: DownsamplerSpec) -> Downsampler:
    torch.manual_seed(0)
    module = _build(spec)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
    return module


def _build(spec: DownsamplerSpec) -> Downsampler:
    return spec.build(WIDTH).eval()


def _forward(module: Downsampler, x: Tensor) -> Tensor:
    reduced: Tensor = module(x)
    return reduced


def _grids(spec: DownsamplerSpec) -> list[tuple[int, int]]:
    """Those of `GRIDS` that the downsampler takes."""
    taken = [grid for grid in GRIDS if _takes(spec, grid)]
    assert taken, f"it refuses all of the grids {GRIDS}"
    return taken


def _takes(spec: DownsamplerSpec, grid: tuple[int, int]) -> bool:
    try:
        spec.grid(*grid)
    except PluginError:
        raise
    except ValueError:
        return False
    return True


def _frames(count: int, grid: tuple[int, int]) -> Tensor:
    return torch.randn(count, *grid, WIDTH, generator=torch.Generator().manual_seed(1))


def grid_is_what_comes_out(spec: DownsamplerSpec) -> None:
    """The token grid is the one that `grid` declares."""
    module = _make(spec)
    for grid in _grids(spec):
        _forward(module, _frames(3, grid))


def frames_do_not_mix(spec: DownsamplerSpec) -> None:
    """Each frame is reduced by itself."""
    module, x = _make(spec), _frames(3, _grids(spec)[0])
    together, alone = _forward(module, x)[1], _forward(module, x[1:2])[0]
    assert torch.allclose(together, alone, atol=1e-5), f"differs by {(together - alone).abs().max().item()}"


def gradients_reach_everything(spec: DownsamplerSpec) -> None:
    """The input and every trainable parameter get a gradient."""
    module, x = _make(spec), _frames(2, _grids(spec)[0]).requires_grad_()
    _forward(module, x).square().sum().backward()
    assert x.grad is not None, "the input gets no gradient"
    assert x.grad.flatten(1, 2).any(-1).all(), "some patch has no influence"
    without = [
        name for name, p in module.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())
    ]
    assert not without, f"no gradient reaches {without}"


def bfloat16_is_close(spec: DownsamplerSpec) -> None:
    """Each token points the same way in bfloat16 as in float32."""
    module, x = _make(spec), _frames(2, _grids(spec)[0])
    exact = _forward(module, x)
    rough = _forward(module.to(torch.bfloat16), x.to(torch.bfloat16)).float()
    cosine = torch.cosine_similarity(exact, rough, dim=-1).min().item()
    assert cosine > 0.98, f"cosine similarity of a token falls to {cosine}"


def saving_keeps_every_bit(spec: DownsamplerSpec) -> None:
    """A second module with the first one's state gives the same bits."""
    first, x = _make(spec), _frames(2, _grids(spec)[0])
    torch.manual_seed(1)
    second = _build(spec)
    second.load_state_dict(first.state_dict())
    same_bits(_forward(second, x), _forward(first, x), "a copy's tokens")


def is_deterministic(spec: DownsamplerSpec) -> None:
    """The same frames twice give the same bits."""
    module, x = _make(spec), _frames(2, _grids(spec)[0])
    same_bits(_forward(module, x), _forward(module, x), "the same frames twice")


def builds_on_meta(spec: DownsamplerSpec) -> None:
    """The module can be built and run without memory."""
    with torch.device("meta"):
        module = _build(spec)
    grid = _grids(spec)[0]
    _forward(module, torch.empty(2, *grid, WIDTH, device="meta"))


def does_not_loop(spec: DownsamplerSpec) -> None:
    """The number of operator calls does not grow with the frames."""
    module, grid = _make(spec), _grids(spec)[0]
    few, many = _frames(1, grid), _frames(5, grid)
    calls = operator_calls(lambda: _forward(module, few)), operator_calls(lambda: _forward(module, many))
    assert calls[0] == calls[1], f"{calls[0]} operator calls for 1 frame, {calls[1]} for 5"


CHECKS = (
    grid_is_what_comes_out,
    frames_do_not_mix,
    gradients_reach_everything,
    bfloat16_is_close,
    saving_keeps_every_bit,
    is_deterministic,
    builds_on_meta,
    does_not_loop,
)
