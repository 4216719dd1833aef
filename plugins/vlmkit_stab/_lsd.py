"""The module behind the downsampler `lsd`."""

from __future__ import annotations

from torch import Tensor

from vlmkit.api import Downsampler
from vlmkit.nn import WindowPool, initialise_linears

from .lsd import LsdSpec

__all__ = ["Lsd"]


class Lsd(WindowPool, Downsampler):
    """Local spatial downsampling: the mean of each 2x2 window reads its four patches."""

    def __init__(self, spec: LsdSpec, width: int) -> None:
        spec.check_width(width)
        super().__init__(width, spec.heads)
        initialise_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, H/2, W/2, C)."""
        return super().forward(x)
