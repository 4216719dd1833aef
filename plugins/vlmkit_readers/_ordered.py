"""Videos that PyAV decodes from the start, for containers in which seeking finds wrong frames."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vlmkit.api import OpenVideo, UnreadableVideo

__all__ = ["OrderedVideo"]

_ERRORS = (av.FFmpegError, OSError, ValueError)
_LOST = 0.1
"""A file that lacks more than this part of the frames that its header announces counts as truncated."""


@dataclass
class OrderedVideo(OpenVideo):
    """A video that is decoded from its start at each call of `frames`."""

    source: str | Path | bytes
    threads: int

    @classmethod
    def open(cls, source: str | Path | bytes, threads: int) -> OrderedVideo:
        """Open a path or bytes and count the pictures. `UnreadableVideo` where there are none or too few."""
        try:
            with _container(source) as container:
                stream = _stream(container)
                announced, fps = stream.frames, float(stream.average_rate or stream.guessed_rate or 0)
                width, height = stream.codec_context.width, stream.codec_context.height
                count = sum(1 for packet in container.demux(stream) if packet.size)
        except _ERRORS as error:
            raise UnreadableVideo(f"{_name(source)}: {_reason(error)}") from None
        if count < (1 - _LOST) * announced or not count:
            raise UnreadableVideo(f"{_name(source)}: {count} of {announced} frames found; the file is incomplete")
        return cls(count, fps, width, height, source, threads)

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """(n, H, W, 3) RGB. Where the last packets hold no picture, the last picture stands for them."""
        if not all(0 <= position < self.num_frames for position in positions):
            raise UnreadableVideo(
                f"{_name(self.source)}: expected positions below {self.num_frames}, found {positions}"
            )
        try:
            pictures = self._decode(sorted(set(positions)))
        except _ERRORS as error:
            raise UnreadableVideo(f"{_name(self.source)}: {_reason(error)}") from None
        return np.stack([pictures[position] for position in positions])

    def _decode(self, wanted: list[int]) -> dict[int, npt.NDArray[np.uint8]]:
        pictures: dict[int, npt.NDArray[np.uint8]] = {}
        last: Any = None
        with _container(self.source) as container:
            stream = _stream(container)
            stream.codec_context.thread_count = self.threads
            for position, frame in enumerate(container.decode(stream)):
                if position > wanted[-1]:
                    break
                last = frame
                if position in wanted:
                    pictures[position] = self._rgb(frame)
        if last is None:
            raise UnreadableVideo("no frame could be decoded")
        return {position: pictures[position] if position in pictures else self._rgb(last) for position in wanted}

    def _rgb(self, frame: Any) -> npt.NDArray[np.uint8]:
        picture: npt.NDArray[np.uint8] = frame.to_ndarray(format="rgb24", width=self.width, height=self.height)
        return picture


def _container(source: str | Path | bytes) -> Any:
    return av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def _stream(container: Any) -> Any:
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise UnreadableVideo("no video stream")
    return stream


def _name(source: str | Path | bytes) -> str:
    return "video" if isinstance(source, bytes) else str(source)
