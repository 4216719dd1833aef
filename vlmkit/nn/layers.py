"""Layers of aligners: pixels to patch features, depthwise convolutions over frames, features to the LLM's width.

Shape letters: B videos, T frames, H W patches, p side of a patch in pixels, C channels, N chunks, t frames of a chunk.

Features lie in memory with their channels last, for which CPU libraries have fast depthwise kernels, but not for every
shape and direction: a kernel over time alone is therefore computed in two dimensions (t, H*W), and the weight gradient
of a kernel over time and space as one two-dimensional gradient per step in time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api.aligner import Projector

__all__ = ["PatchEmbedding", "add_space_time", "build_projector", "convolve_time", "initialize_linears"]


class PatchEmbedding(nn.Module):
    """A convolution without bias over patches that do not overlap, computed as one matrix product.

    Initialized as `nn.Conv2d` is.
    """

    def __init__(self, width: int, patch: int, pixel_stride: int = 1) -> None:
        """Make it for `width` channels and patches of `patch` pixels, taken after averaging `pixel_stride` pixels."""
        super().__init__()
        self.pixel_stride = pixel_stride
        self.weight = nn.Parameter(torch.empty(width, 3, patch, patch))
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H*p, W*p) normalized -> (B, T, H, W, C); pixels are cast to the dtype of the weight."""
        x = pixels.flatten(0, 1).to(self.weight.dtype)
        if self.pixel_stride > 1:
            x = F.avg_pool2d(x, self.pixel_stride)
        side = self.weight.shape[-1]
        x = x.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 1, 3, 5).flatten(3)
        return F.linear(x, self.weight.flatten(1)).unflatten(0, pixels.shape[:2])


def convolve_time(layer: nn.Conv3d, x: Tensor) -> Tensor:
    """Convolve over time alone, depthwise, "same" padding: (N, t, H, W, C) -> (N, t, H, W, C)."""
    flat = x.flatten(2, 3).permute(0, 3, 1, 2)
    padding = (layer.kernel_size[0] // 2, 0)
    out = F.conv2d(flat, layer.weight.squeeze(-1), layer.bias, padding=padding, groups=layer.groups)
    return out.permute(0, 2, 3, 1).contiguous().view_as(x)


def add_space_time(layer: nn.Conv3d, x: Tensor) -> Tensor:
    """Return x + a depthwise 3x3x3 convolution of it, "same" padding: (N, t, H, W, C) -> (N, t, H, W, C)."""
    out: Tensor = _AddSpaceTime.apply(x.permute(0, 4, 1, 2, 3), layer.weight, layer.bias)
    return out.permute(0, 2, 3, 4, 1).contiguous()


class _AddSpaceTime(torch.autograd.Function):
    """x + a depthwise 3x3x3 convolution of it, for (N, C, t, H, W), channels last in memory."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        out = F.conv3d(x, weight, bias, padding=1, groups=len(weight))
        # Autocast may have changed the dtype; the gradient will come in that of the output.
        ctx.save_for_backward(x.to(out.dtype), weight.to(out.dtype))
        return out.add_(x)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last_3d)
        before = _weight_gradient(x[:, :, :-1], grad[:, :, 1:], weight)
        same = _weight_gradient(x, grad, weight)
        after = _weight_gradient(x[:, :, 1:], grad[:, :, :-1], weight)
        input_gradient = F.conv3d(grad, weight.flip(2, 3, 4), padding=1, groups=len(weight)).add_(grad)
        return input_gradient, torch.stack([before, same, after], 2), grad.sum((0, 2, 3, 4))


def _weight_gradient(x: Tensor, grad: Tensor, weight: Tensor) -> Tensor:
    """(C, 1, 3, 3) of one step in time, out of the frames that it connects."""
    like, ones, mask = weight[:, :, 0], [1, 1], [False, True, False]
    if not x.shape[2]:
        return torch.zeros_like(like)
    images = (part.permute(0, 2, 3, 4, 1).flatten(0, 1).permute(0, 3, 1, 2) for part in (grad, x))
    results = torch.ops.aten.convolution_backward(
        *images, like, None, ones, ones, ones, False, [0, 0], len(weight), mask
    )
    return results[1]


def build_projector(kind: Projector, width: int, llm_width: int) -> nn.Module:
    """Build (…, width) -> (…, llm_width). Raise a ValueError where `identity` would have to change the width.

    `mlp2x_gelu` is LLaVA-1.5's: Linear, exact GELU, Linear.
    """
    if kind == "identity":
        if width != llm_width:
            raise ValueError(f"projector 'identity' needs features of the LLM's width {llm_width}, found {width}")
        return nn.Identity()
    if kind == "linear":
        return nn.Linear(width, llm_width)
    return nn.Sequential(nn.Linear(width, llm_width), nn.GELU(), nn.Linear(llm_width, llm_width))


def initialize_linears(module: nn.Module, std: float = 0.02) -> None:
    """Draw every `nn.Linear` below `module` as `LlamaPreTrainedModel` does: weight N(0, std), bias 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
