"""Videos that PyAV decodes from the start, for files in which seeking finds wrong frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vlmkit.api import OpenVideo, UnreadableVideo

from ._container import ERRORS, name_of, open_container, video_stream
from ._pictures import Pictures

__all__ = ["OrderedVideo"]

_LOST = 0.1
"""A file that lacks more than this part of the packets that its header announces counts as truncated."""
_UPRIGHT = 1
"""Degrees from a quarter turn up to which a display matrix counts as one; decord's limit."""


@dataclass
class OrderedVideo(OpenVideo):
    """A video that is decoded from its start at each call of `frames`."""

    source: str | Path | bytes
    threads: int
    pictures: Pictures
    turns: int
    """Quarter turns, counterclockwise, that set a decoded picture upright."""

    @classmethod
    def open(cls, source: str | Path | bytes, threads: int) -> OrderedVideo:
        """Open a path or bytes and count the pictures. `UnreadableVideo` where there are none or too few."""
        try:
            with open_container(source) as container:
                stream = video_stream(container)
                announced, fps = _announced(container, stream), float(stream.average_rate or stream.guessed_rate or 0)
                pictures = Pictures.of(container.demux(stream))
            if pictures.packets < (1 - _LOST) * announced or not pictures.packets:
                found = f"{pictures.packets} of {announced} frames found; the file is incomplete"
                raise UnreadableVideo(found)
            first = next(_decode(source, threads, pictures), None)
            if first is None or not pictures.shown:
                raise UnreadableVideo("no frame could be decoded")
        except ERRORS as error:
            raise UnreadableVideo(f"{name_of(source)}: {_reason(error)}") from None
        turns = _turns(first.rotation)
        width, height = (first.height, first.width) if turns % 2 else (first.width, first.height)
        return cls(pictures.shown, fps, width, height, source, threads, pictures, turns)

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """(n, H, W, 3) RGB. Where the last packets hold no picture, the last picture stands for them."""
        if not all(0 <= position < self.num_frames for position in positions):
            raise UnreadableVideo(
                f"{name_of(self.source)}: expected positions below {self.num_frames}, found {positions}"
            )
        try:
            pictures = self._pick(sorted(set(positions)))
        except ERRORS as error:
            raise UnreadableVideo(f"{name_of(self.source)}: {_reason(error)}") from None
        return np.stack([pictures[position] for position in positions])

    def _pick(self, wanted: list[int]) -> dict[int, npt.NDArray[np.uint8]]:
        pictures: dict[int, npt.NDArray[np.uint8]] = {}
        last: Any = None
        for position, frame in enumerate(_decode(self.source, self.threads, self.pictures)):
            if position > wanted[-1]:
                break
            last = frame
            if position in wanted:
                pictures[position] = self._rgb(frame)
        if last is None:
            raise UnreadableVideo("no frame could be decoded")
        return {position: pictures[position] if position in pictures else self._rgb(last) for position in wanted}

    def _rgb(self, frame: Any) -> npt.NDArray[np.uint8]:
        width, height = (self.height, self.width) if self.turns % 2 else (self.width, self.height)
        return np.rot90(frame.to_ndarray(format="rgb24", width=width, height=height), self.turns)


def _decode(source: str | Path | bytes, threads: int, pictures: Pictures) -> Iterator[Any]:
    with open_container(source) as container:
        stream = video_stream(container)
        stream.codec_context.thread_count = threads
        yield from pictures.decode(container.demux(stream))


def _announced(container: Any, stream: Any) -> int:
    """Packets that a whole file has. In MP4 and MOV the edit list may leave some out, of which the header knows not."""
    mp4 = "mp4" in container.format.name.split(",")
    return (len(getattr(stream, "index_entries", ())) if mp4 else 0) or int(stream.frames)  # PyAV < 17: no index


def _turns(degrees: float) -> int:
    """Quarter turns; 0 where the angle is none, as decord has it."""
    turns = round(degrees / 90)
    return turns % 4 if abs(degrees - 90 * turns) <= _UPRIGHT else 0


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
