"""The kind `reader`: decoding of video files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vlmkit.api.spec import ComponentSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["OpenVideo", "Reader", "ReaderSpec"]


@dataclass
class OpenVideo(ABC):
    """One video, open for reading. Used by the thread that opened it, and dropped afterwards."""

    num_frames: int
    fps: float
    """Frames per second."""
    width: int
    """Pixels."""
    height: int
    """Pixels."""

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.num_frames / self.fps if self.fps else 0.0

    @abstractmethod
    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """(n, H, W, 3) RGB of the frames at `positions` (repeats allowed). `UnreadableVideo` where decoding fails."""


class Reader(ABC):
    """Opens videos."""

    @abstractmethod
    def open(self, source: str | Path | bytes) -> OpenVideo:
        """Open a file by path, or the bytes of one. `UnreadableVideo`, with the reason, where that fails."""


class ReaderSpec(ComponentSpec):
    """Options of a reader."""

    kind: ClassVar[str] = "reader"

    @abstractmethod
    def build(self) -> Reader:
        """The reader."""
        raise NotImplementedError
