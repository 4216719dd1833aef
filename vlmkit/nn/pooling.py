"""Pooling by attention: a whole frame into one token, or each 2x2 window of patches into one.

Shape letters: F frames, H W patches, h w windows, S tokens of a frame, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vlmkit.nn.attention import SingleQueryAttention

__all__ = ["QueryPool", "WindowPool"]


class QueryPool(SingleQueryAttention):
    """One learned query reads each frame (EVE's global attention, Video-Panda's frame-wise spatial relationship)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.query = nn.Parameter(torch.randn(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(F, S, C) -> (F, C)."""
        return self.read(self.query, tokens)


class WindowPool(SingleQueryAttention):
    """The mean of each window reads the window (EVE's and Video-Panda's local attention)."""

    def __init__(self, width: int, heads: int, window: int = 2) -> None:
        super().__init__(width, heads)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, h, w, C)."""
        frames, height, width, channels = x.shape
        size = self.window
        rows, columns = height // size, width // size
        windows = x.view(frames, rows, size, columns, size, channels).transpose(2, 3)
        windows = windows.reshape(-1, size * size, channels)
        mean = windows.sum(1) / size**2
        return self.read(mean, windows).view(frames, rows, columns, channels)
