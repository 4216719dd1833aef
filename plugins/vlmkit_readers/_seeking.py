"""Videos whose frames decord finds by seeking."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import decord
import numpy as np
import numpy.typing as npt
from decord._ffi.base import DECORDError

from vlmkit.api import OpenVideo, UnreadableVideo

__all__ = ["SeekingVideo"]

_ERRORS = (RuntimeError, DECORDError, IndexError, OSError)
_TAIL = 3
"""The last packets of a file may hold no picture of their own; see `SeekingVideo.frames`."""

decord.logging.set_level(decord.logging.QUIET)  # FFmpeg's own complaints; what matters is raised


@dataclass
class SeekingVideo(OpenVideo):
    """A video open in decord."""

    name: str
    reader: Any

    @classmethod
    def open(cls, source: str | Path | bytes, threads: int) -> SeekingVideo:
        """Open a path or bytes. `UnreadableVideo` where decord cannot."""
        name = "video" if isinstance(source, bytes) else str(source)
        try:
            reader = decord.VideoReader(io.BytesIO(source) if isinstance(source, bytes) else name, num_threads=threads)
            height, width, _ = reader[0].shape
            return cls(len(reader), float(reader.get_avg_fps()), width, height, name, reader)
        except _ERRORS as error:
            raise UnreadableVideo(f"{name}: {_reason(error)}") from None

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """(n, H, W, 3) RGB.

        For a position without a picture decord repeats what it delivered last, which may come from far ahead. So near
        the end the frames before a position are asked for too: the last picture of the video is repeated then.
        """
        before = {p - i for p in positions if p >= self.num_frames - _TAIL for i in range(_TAIL) if p >= i}
        asked = sorted({*positions, *before})
        try:
            frames = self.reader.get_batch(asked).asnumpy()
        except _ERRORS as error:
            raise UnreadableVideo(f"{self.name}: {_reason(error)}") from None
        index = {position: i for i, position in enumerate(asked)}
        chosen: npt.NDArray[np.uint8] = frames[[index[position] for position in positions]]
        return chosen


def _reason(error: Exception) -> str:
    """decord's message without times, source lines and stack trace."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^(\[[\d:]+\] \S+:\d+: )+", "", lines[0])
