"""The kind `downsampler`: fewer tokens per frame, before the projector."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from vlmkit.api.contract import Promise, Promises, builds, check_none, check_sides, of_type
from vlmkit.api.spec import ComponentSpec

if TYPE_CHECKING:
    from vlmkit.api.modules import Downsampler

__all__ = ["DownsamplerSpec"]


class DownsamplerSpec(ComponentSpec):
    """Options of a downsampler."""

    kind: ClassVar[str] = "downsampler"
    _promises: ClassVar[Promises] = {
        "grid": Promise(check_sides, refuses=True),
        "keeps_rows": Promise(of_type(bool)),
        "check_width": Promise(check_none, refuses=True),
        "build": builds("vlmkit.api.modules:Downsampler", refuses=True),
    }
    pixel_stride: ClassVar[int] = 1
    """By how much the aligner averages its pixels down before the patch embedding (2: half resolution)."""

    @abstractmethod
    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The token grid for height x width patches. A ValueError, with both numbers, where they do not fit."""

    def keeps_rows(self) -> bool:
        """Return whether tokens stand in rows and columns of the picture, as row tokens and distillation need it."""
        return True

    def check_width(self, width: int) -> None:
        """A ValueError, with both numbers, where features of `width` channels do not fit its options (heads)."""

    @abstractmethod
    def build(self, width: int) -> Downsampler:
        """The module for features of `width` channels (in and out)."""
