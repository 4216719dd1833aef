"""Layers that several aligners share; depthwise convolutions against torch's, forward and backward."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from vlmkit.nn import PatchEmbedding, add_space_time, build_projector, convolve_time

Kernel = tuple[int, int, int]
Function = Callable[[nn.Conv3d, Tensor], Tensor]


def layer(kernel: Kernel, channels: int = 6) -> nn.Conv3d:
    padding = tuple(side // 2 for side in kernel)
    return nn.Conv3d(channels, channels, kernel, padding=padding, groups=channels).double()


def over_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    return conv(x.permute(0, 4, 1, 2, 3)).permute(0, 2, 3, 4, 1)


def over_space_and_time(conv: nn.Conv3d, x: Tensor) -> Tensor:
    return x + over_time(conv, x)


FUNCTIONS = [((3, 1, 1), convolve_time, over_time), ((3, 3, 3), add_space_time, over_space_and_time)]


@pytest.mark.parametrize(("kernel", "ours", "theirs"), FUNCTIONS)
@pytest.mark.parametrize("shape", [(2, 4, 5, 3, 6), (1, 1, 4, 4, 6), (3, 2, 2, 6, 6)])
def test_forward_and_backward(kernel: Kernel, ours: Function, theirs: Function, shape: tuple[int, ...]) -> None:
    conv = layer(kernel)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    cotangent = torch.randn(shape, dtype=torch.float64)
    results = []
    for function in (ours, theirs):
        out = function(conv, x)
        results.append([out, *torch.autograd.grad((out * cotangent).sum(), [x, conv.weight, conv.bias])])
    for left, right in zip(*results, strict=True):
        assert torch.allclose(left, right, atol=1e-12)


@pytest.mark.parametrize(("kernel", "ours", "theirs"), FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_autocast(kernel: Kernel, ours: Function, theirs: Function, dtype: torch.dtype) -> None:
    conv = layer(kernel).float()
    x = torch.randn(2, 4, 4, 4, 6).to(dtype).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        out = ours(conv, x)
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16
    assert x.grad.dtype == dtype
    assert conv.weight.grad.dtype == torch.float32
    assert torch.allclose(out.float(), theirs(conv, x.float()), atol=0.05)


@pytest.mark.parametrize("stride", [1, 2])
def test_patch_embedding_is_a_convolution(stride: int) -> None:
    embed = PatchEmbedding(5, 4, stride)
    pixels = torch.randn(2, 3, 3, 16, 24)
    images = nn.functional.avg_pool2d(pixels.flatten(0, 1), stride)
    expected = nn.functional.conv2d(images, embed.weight, stride=4).permute(0, 2, 3, 1)
    assert embed(pixels).shape == (2, 3, 4 // stride, 6 // stride, 5)
    assert torch.allclose(embed(pixels).flatten(0, 1), expected, atol=1e-5)


def test_patch_embedding_starts_as_a_convolution_does() -> None:
    torch.manual_seed(0)
    expected = nn.Conv2d(3, 5, 4, stride=4, bias=False).weight
    torch.manual_seed(0)
    assert torch.equal(PatchEmbedding(5, 4).weight, expected)


def test_projectors() -> None:
    assert [p.shape for p in build_projector("linear", 4, 6).parameters()] == [(6, 4), (6,)]
    mlp = build_projector("mlp2x_gelu", 4, 6)
    x = torch.randn(3, 4)
    expected = nn.functional.linear(nn.functional.gelu(mlp[0](x)), mlp[2].weight, mlp[2].bias)
    assert torch.equal(mlp(x), expected)
    assert build_projector("identity", 4, 4)(x) is x
    with pytest.raises(ValueError, match="width 6, found 4"):
        build_projector("identity", 4, 6)
