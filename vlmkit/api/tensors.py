"""The tensors that components exchange.

Shape letters: B videos, T frames, H W pixels, h w token grid, N tokens, D LLM width, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vlmkit.api.video import VideoShape

__all__ = ["VideoBatch", "VisualTokens"]


@dataclass
class VideoBatch:
    """Fitted videos of one canvas size.

    ``content`` and ``frames`` steer shapes, not arithmetic: they are kept on the CPU whatever the device of the pixels,
    so that a forward never waits for the device and works on the meta device too.
    """

    pixels: Tensor
    """(B, T, 3, H, W) normalised."""
    content: Tensor
    """(B, 4) int64: top, bottom, left, right of the picture inside its padding, pixels."""
    frames: Tensor
    """(B, T) bool: False where a frame is padding in time (at the end)."""

    def __post_init__(self) -> None:
        if self.pixels.ndim != 5 or self.pixels.shape[2] != 3:
            raise ValueError(f"pixels: expected (B, T, 3, H, W), found {tuple(self.pixels.shape)}")
        batch, time = self.pixels.shape[:2]
        if tuple(self.content.shape) != (batch, 4):
            raise ValueError(f"content: expected {(batch, 4)}, found {tuple(self.content.shape)}")
        if tuple(self.frames.shape) != (batch, time):
            raise ValueError(f"frames: expected {(batch, time)}, found {tuple(self.frames.shape)}")
        self.content, self.frames = self.content.cpu(), self.frames.cpu()

    @classmethod
    def full(cls, pixels: Tensor) -> VideoBatch:
        """Videos without any padding."""
        batch, time, _, height, width = pixels.shape
        content = torch.tensor([[0, height, 0, width]], device="cpu").expand(batch, 4)
        return cls(pixels, content, torch.ones(batch, time, dtype=torch.bool, device="cpu"))

    def shapes(self) -> list[VideoShape]:
        """The B shapes, for `AlignerSpec.layout`."""
        time, _, height, width = self.pixels.shape[1:]
        present = self.frames.sum(1).tolist()
        return [
            VideoShape(time, height, width, tuple(box), count)
            for box, count in zip(self.content.tolist(), present, strict=True)
        ]

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> VideoBatch:
        """The same videos with the pixels on another device or in another dtype."""
        return VideoBatch(self.pixels.to(device=device, dtype=dtype), self.content, self.frames)


@dataclass
class VisualTokens:
    """What an aligner makes of a VideoBatch."""

    embeddings: Tensor
    """(B, N, D); zeros where the mask is False."""
    mask: Tensor
    """(B, N) bool: True where a token stands; videos with fewer tokens are padded at the end."""
    patches: Tensor
    """(B, T, h, w) int64: where each cell's token stands among the N, -1 where there is none."""
