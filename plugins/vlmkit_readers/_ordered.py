"""Videos that PyAV decodes from the start, for files in which seeking finds wrong frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmkit.api import OpenVideo, UnreadableVideo

from ._container import ERRORS, open_container, reason, video_stream
from ._orientation import Orientation
from ._pictures import Pictures
from ._request import check_positions
from ._source import name_of
from ._survey import Survey

__all__ = ["OrderedVideo"]

_MOST_PIXELS = 5 * 10**11
"""Of a whole video: two hours at 1920x1080."""
_FREE_PIXELS, _PIXELS_PER_BYTE = 2 * 10**10, 10**5
"""What a small file may hold: some hundred bytes can make hours of big, still pictures."""


@dataclass
class OrderedVideo(OpenVideo):
    """A video that is decoded from its start at each call."""

    survey: Survey
    threads: int
    pictures: Pictures
    orientation: Orientation
    _decoding: Iterator[Any] | None = field(default=None, repr=False)
    _position: int = -1
    """Of `_last`, the frame that was decoded last."""
    _last: Any = field(default=None, repr=False)

    @classmethod
    def open(cls, survey: Survey, threads: int) -> OrderedVideo:
        """Count the pictures. `UnreadableVideo` where there are none."""
        pictures, frame = Pictures.of(survey.marks), survey.first.frame
        if not pictures.shown or frame is None:
            raise UnreadableVideo(f"{name_of(survey.source)}: {survey.first.problem or 'no frame could be decoded'}")
        orientation = Orientation.of(survey.matrix)
        width, height = frame.width, frame.height
        if orientation.transposed:
            width, height = height, width
        return cls(pictures.shown, _fps(survey, pictures), width, height, survey, threads, pictures, orientation)

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return (n, H, W, 3) RGB. Where the last packets hold no picture, the last picture stands for them.

        Later frames than those of the call before are decoded from there on.
        """
        check_positions(self, self.name, positions)
        most = min(_MOST_PIXELS, _FREE_PIXELS + _PIXELS_PER_BYTE * self.survey.size)
        if self.num_frames * self.width * self.height > most:
            raise UnreadableVideo(
                f"{self.name}: {self.num_frames} frames of {self.width}x{self.height} pixels in {self.survey.size} "
                "bytes can only be decoded from the first one on, which would take hours; convert it to MP4 (H.264)"
            )
        wanted: dict[int, list[int]] = {}
        for place, position in enumerate(positions):
            wanted.setdefault(position, []).append(place)
        chosen = np.empty((len(positions), self.height, self.width, 3), np.uint8)
        try:
            for position in sorted(wanted):
                chosen[wanted[position]] = self._rgb(self._frame(position))
        except ERRORS as error:
            self._decoding = None
            if isinstance(error, UnreadableVideo):
                raise
            raise UnreadableVideo(f"{self.name}: {reason(error)}") from None
        return chosen

    @property
    def name(self) -> str:
        """What messages call it."""
        return name_of(self.survey.source)

    def _frame(self, position: int) -> Any:
        """Return the decoded frame at a position, or the last one there is."""
        if self._decoding is None or position < self._position:
            self._decoding, self._position, self._last = self._decode(), -1, None
        while self._position < position and (frame := next(self._decoding, None)) is not None:
            self._position, self._last = self._position + 1, frame
        if self._last is None:
            raise UnreadableVideo(f"{self.name}: no frame could be decoded")
        return self._last

    def _decode(self) -> Iterator[Any]:
        with open_container(self.survey.source) as container:
            stream = video_stream(container)
            stream.codec_context.thread_count = self.threads
            yield from self.pictures.decode(container.demux(stream))

    def _rgb(self, frame: Any) -> npt.NDArray[np.uint8]:
        """Return a picture upright, in the size of the first one."""
        first = self.survey.first.frame
        return self.orientation.upright(frame.to_ndarray(format="rgb24", width=first.width, height=first.height))


def _fps(survey: Survey, pictures: Pictures) -> float:
    """Return the average rate; that of AVI headers counts frames, too, that are left out because nothing changes."""
    missing = "avi" in survey.formats and survey.packets < survey.announced and survey.seconds > 0
    return pictures.shown / survey.seconds if missing else survey.fps
