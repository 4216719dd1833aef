"""Downsamplers without parameters.

Shape letters: F frames, H W patches, h w tokens, C channels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from vlmkit.api import Downsampler

__all__ = ["AdaptivePool", "AvgPool", "Identity"]


class Identity(Downsampler):
    """(F, H, W, C) as it came."""

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, H, W, C)."""
        return x


class AvgPool(Downsampler):
    """The mean of each window of window x window patches."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, H / window, W / window, C). A ValueError where windows do not tile the patches."""
        frames, height, width, channels = x.shape
        side = self.window
        if height % side or width % side:
            raise ValueError(f"avg-pool: windows of {side}x{side} do not tile {height}x{width} patches")
        return x.reshape(frames, height // side, side, width // side, side, channels).mean((2, 4))


class AdaptivePool(Downsampler):
    """The mean of each of (h, w) bins; PyTorch's rule for where they begin and end."""

    def __init__(self, target: tuple[int, int]) -> None:
        super().__init__()
        self.target = target

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, h, w, C)."""
        return functional.adaptive_avg_pool2d(x.permute(0, 3, 1, 2), self.target).permute(0, 2, 3, 1)
