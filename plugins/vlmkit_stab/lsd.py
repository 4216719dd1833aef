"""The downsampler `lsd`: local spatial downsampling, each 2x2 window of patches to one token by attention."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vlmkit.api import DownsamplerSpec
from vlmkit.api.bounds import Heads

if TYPE_CHECKING:
    from vlmkit.api import Downsampler

__all__ = ["LsdSpec"]


class LsdSpec(DownsamplerSpec):
    """Local spatial downsampling of Video-Panda (arXiv:2412.18609) and EVE (arXiv:2406.11832): the mean of each 2x2
    window of patches reads the four patches by attention."""

    type: Literal["lsd"] = "lsd"
    heads: Heads = 8
    """Attention heads."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Half as many rows and columns."""
        if height % 2 or width % 2:
            raise ValueError(f"lsd needs an even number of patches in both directions, found {height}x{width}")
        return height // 2, width // 2

    def check_width(self, width: int) -> None:
        """A ValueError where the heads do not divide the width."""
        if width % self.heads:
            raise ValueError(f"lsd: {self.heads} heads do not divide the width {width}")

    def build(self, width: int) -> Downsampler:
        """The module, freshly initialised: linear layers N(0, 0.02), bias 0."""
        from ._lsd import Lsd

        return Lsd(self, width)
