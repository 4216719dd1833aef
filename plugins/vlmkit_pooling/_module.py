"""Downsamplers without parameters, and the perceiver resampler (Flamingo, arXiv:2204.14198).

Shape letters: F frames, H W patches, h w tokens, P = H * W, L latents, C channels, A heads, E channels per head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from vlmkit.api import Downsampler
from vlmkit.nn import tile_grid

if TYPE_CHECKING:
    from vlmkit_pooling.spec import PerceiverSpec

__all__ = ["AdaptivePool", "AvgPool", "Identity", "Perceiver"]

_FEED_FORWARD = 4
"""Hidden channels of the feed-forward, in multiples of C."""


class Identity(Downsampler):
    """Each patch a token."""

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, H, W, C)."""
        return x


class AvgPool(Downsampler):
    """The mean of each window of window x window patches."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, H / window, W / window, C). Raise a ValueError where windows do not tile the patches."""
        frames, height, width, channels = x.shape
        rows, columns = tile_grid("avg-pool: windows", self.window, height, width, "patches")
        return x.reshape(frames, rows, self.window, columns, self.window, channels).mean((2, 4))


class AdaptivePool(Downsampler):
    """The mean of each of (h, w) bins; PyTorch's rule for where they begin and end."""

    def __init__(self, target: tuple[int, int]) -> None:
        super().__init__()
        self.target = target

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, h, w, C)."""
        return functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), self.target).permute(0, 2, 3, 1)


class Perceiver(Downsampler):
    """L latents per frame, refined by `depth` layers that read the frame's patches.

    Initialization: latents N(0, 1); linear layers and norms as PyTorch has them.
    """

    def __init__(self, spec: PerceiverSpec, width: int) -> None:
        super().__init__()
        self.grid = spec.grid(1, 1)
        self.latents = nn.Parameter(torch.randn(spec.latents, width))
        self.layers = nn.ModuleList(PerceiverLayer(width, spec.heads, spec.dim_head) for _ in range(spec.depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, h, w, C) with h * w = L."""
        x_FPC = x.flatten(1, 2)
        latents = self.latents[None]  # the same for every frame until the first layer has read it
        for layer in self.layers:
            latents = layer(x_FPC, latents)
        return self.norm(latents).unflatten(1, self.grid)


class PerceiverLayer(nn.Module):
    """latents + Attention(x, latents), then latents + FeedForward(latents)."""

    def __init__(self, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        self.attention = PerceiverAttention(width, heads, dim_head)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, _FEED_FORWARD * width, bias=False),
            nn.GELU(),
            nn.Linear(_FEED_FORWARD * width, width, bias=False),
        )

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Patches (F, P, C) and latents (F or 1, L, C) -> (F, L, C)."""
        latents = latents + self.attention(x, latents)
        return latents + self.feed_forward(latents)


class PerceiverAttention(nn.Module):
    """Queries from the latents; keys and values from patches and latents together. Scale E^-0.5, no biases."""

    def __init__(self, width: int, heads: int, dim_head: int) -> None:
        super().__init__()
        inner = heads * dim_head
        self.dim_head = dim_head
        self.norm_media = nn.LayerNorm(width)
        self.norm_latents = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, inner, bias=False)
        self.to_kv = nn.Linear(width, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        """Patches (F, P, C) and latents (F or 1, L, C) -> (F, L, C)."""
        latents = self.norm_latents(latents)
        # Projected apart, then joined: latents that all frames share go through to_kv once.
        own_kv = self.to_kv(latents).expand(len(x), -1, -1)
        key_FPI, value_FPI = torch.cat([self.to_kv(self.norm_media(x)), own_kv], 1).chunk(2, -1)
        query_FLI = self.to_q(latents).expand(len(x), -1, -1)
        query, key, value = self._split(query_FLI), self._split(key_FPI), self._split(value_FPI)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (-1, self.dim_head)).transpose(1, 2)  # (F, n, A * E) -> (F, A, n, E)
