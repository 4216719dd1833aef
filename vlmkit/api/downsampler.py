"""The kind `downsampler`: fewer tokens per frame, before the projector."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from vlmkit.api.contract import Promise, Promises, gives, made, nothing, two_sides
from vlmkit.api.spec import ComponentSpec

if TYPE_CHECKING:
    from vlmkit.api.modules import Downsampler

__all__ = ["DownsamplerSpec"]


class DownsamplerSpec(ComponentSpec):
    """Options of a downsampler."""

    kind: ClassVar[str] = "downsampler"
    _promises: ClassVar[Promises] = {
        "grid": Promise(two_sides, refuses=True),
        "keeps_rows": Promise(gives(bool)),
        "check_width": Promise(nothing, refuses=True),
        "build": made("vlmkit.api.modules:Downsampler", refuses=True),
    }
    pixel_stride: ClassVar[int] = 1
    """By how much the aligner averages its pixels down before the patch embedding (2: half resolution)."""

    @abstractmethod
    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The token grid for height x width patches. A ValueError, with both numbers, where they do not fit."""
        raise NotImplementedError

    def keeps_rows(self) -> bool:
        """Whether the tokens stand in rows and columns of the picture, as row tokens and distillation need it."""
        return True

    def check_width(self, width: int) -> None:
        """A ValueError, with both numbers, where features of `width` channels do not fit its options (heads)."""

    @abstractmethod
    def build(self, width: int) -> Downsampler:
        """The module for features of `width` channels (in and out)."""
        raise NotImplementedError
