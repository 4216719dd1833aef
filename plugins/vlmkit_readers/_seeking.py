"""Videos whose frames decord finds by seeking."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import decord
import numpy as np
import numpy.typing as npt
from decord._ffi.base import DECORDError, DECORDLimitReachedError

from vlmkit.api import OpenVideo, UnreadableVideo

from ._ordered import OrderedVideo
from ._request import check_positions
from ._source import name_of
from ._survey import Survey

__all__ = ["SeekingVideo"]

_ERRORS = (RuntimeError, DECORDError, DECORDLimitReachedError, IndexError, OSError)
_NO_REPEATS = 1e-9
"""The part of frames for which decord may repeat another one, in place of one that it does not find."""

decord.logging.set_level(decord.logging.QUIET)  # FFmpeg's own complaints; what matters is raised


@dataclass
class SeekingVideo(OpenVideo):
    """A video open in decord. Where decord fails after all, it is decoded in order."""

    survey: Survey
    reader: Any
    ordered: OrderedVideo

    @classmethod
    def open(cls, survey: Survey, threads: int) -> SeekingVideo:
        """Open a path or bytes. `UnreadableVideo` where decord cannot, or finds something else than PyAV."""
        ordered = OrderedVideo.open(survey, threads)
        source = survey.source
        try:
            # `file:` keeps FFmpeg from reading a name as another protocol
            what = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
            reader = decord.VideoReader(what, num_threads=threads, fault_tol=_NO_REPEATS)
            first = reader.get_batch([0]).asnumpy()  # fails for widths of up to 72 pixels, which decord cannot copy
            found = first.shape[1:], len(reader), list(reader.get_key_indices())
            fps = float(reader.get_avg_fps())
        except (*_ERRORS, UnicodeError) as error:
            raise UnreadableVideo(f"{name_of(source)}: {_reason(error)}") from None
        full = [mark for mark in survey.marks if mark.full]
        keys = [i for i, mark in enumerate(full) if mark.starts]
        if found != ((ordered.height, ordered.width, 3), len(full), keys):
            raise UnreadableVideo(f"{name_of(source)}: decord finds other frames than PyAV")
        return cls(len(full), fps, ordered.width, ordered.height, survey, reader, ordered)

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return (n, H, W, 3) RGB.

        Where the last packets hold no picture, decord goes back to one that it finds, and complains if it has to do so
        again. So it is asked for the frame before the last one, too.
        """
        check_positions(self, name_of(self.survey.source), positions)
        last = max(positions, default=0)
        asked = sorted({*positions, max(0, last - 1)})
        try:
            frames: npt.NDArray[np.uint8] = self.reader.get_batch(asked).asnumpy()
        except _ERRORS:
            return self.ordered.frames(positions)
        return frames[np.searchsorted(asked, np.asarray(positions, np.int64))]


def _reason(error: Exception) -> str:
    """Return decord's message without times, source lines and stack trace."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^(\[[\d:]+\] \S+:\d+: )+", "", lines[0])
