"""Layers at both ends of an aligner, pixels to patch features and features to the LLM's width, and initialization.

Shape letters: B videos, T frames, H W patches, p side of a patch in pixels, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api.aligner import Projector

__all__ = ["PatchEmbedding", "build_projector", "initialize_linears"]


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
        batch, time = pixels.shape[:2]
        x = pixels.flatten(0, 1).to(self.weight.dtype)
        if self.pixel_stride > 1:
            x = F.avg_pool2d(x, self.pixel_stride)
        side = self.weight.shape[-1]
        rows, columns = x.shape[-2] // side, x.shape[-1] // side
        x = x.reshape(-1, 3, rows, side, columns, side).permute(0, 2, 4, 1, 3, 5)
        return F.linear(x.reshape(batch, time, rows, columns, -1), self.weight.flatten(1))


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
