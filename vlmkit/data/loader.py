"""Reading videos: frames are chosen and decoded once, fitted on every canvas that is asked for, and remembered."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vlmkit.api.canvas import Canvas
from vlmkit.api.reader import OpenVideo, Reader, ReaderSpec
from vlmkit.api.video import FrameSelection
from vlmkit.data.fit import FittedVideo, Fitting
from vlmkit.data.sources import still_image
from vlmkit.errors import UnreadableVideo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["SelectedFrames", "VideoLoader", "decode_frames", "select_frames"]

Span = tuple[float, float]
"""Start and end of a part of a video, seconds."""
Views = dict[str, FittedVideo]
_AT_ONCE = 1 << 28
"""Bytes of decoded frames that are in memory at once, where they are bigger than one frame."""


class SelectedFrames(NamedTuple):
    """An open video and the frames of it that are looked at."""

    video: OpenVideo
    positions: list[int]
    """Ascending; a frame may be there several times."""

    def seconds(self, position: int) -> float:
        """Return when a frame is shown."""
        if self.video.times is not None:
            return float(self.video.times[position])
        return position / self.video.fps if self.video.fps else 0.0

    def times(self) -> tuple[float, ...]:
        """Return when each of the frames is shown, seconds; nothing where the video does not say."""
        known = self.video.times is not None or self.video.fps
        return tuple(map(self.seconds, self.positions)) if known else ()


@dataclass
class _Picture(OpenVideo):
    """A picture, which is a video of one frame."""

    pixels: npt.NDArray[np.uint8]
    """(H, W, 3) RGB."""

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return the picture, once for each position."""
        return self.pixels[None].repeat(len(positions), 0)


def select_frames(reader: Reader, path: str | Path, frames: FrameSelection, span: Span | None = None) -> SelectedFrames:
    """Open a video and choose its frames, with a span as if that part were a video of its own.

    A picture is a video of one frame. An `UnreadableVideo` with the reason where that fails, or the part lies outside
    of the video.
    """
    if (picture := still_image(Path(path))) is not None:
        if span is not None:
            raise UnreadableVideo(f"{path}: a picture has no part from {span[0]:g} to {span[1]:g} s")
        return SelectedFrames(_Picture(1, 0.0, picture.shape[1], picture.shape[0], picture), [0])
    video = reader.open(path)
    if video.num_frames < 1:
        raise UnreadableVideo(f"{path}: it holds no frames")
    first, count, times = 0, video.num_frames, video.times
    if span is not None:
        part = _part(video, path, span)
        first, count = part.start, len(part)
        times = None if times is None else [float(second - times[first]) for second in times[first : part.stop]]
    positions = frames.sampler.build().positions(count, video.fps, times, frames.frames)
    return SelectedFrames(video, [first + position for position in positions])


def _part(video: OpenVideo, path: str | Path, span: Span) -> range:
    """Return the positions of the frames that are shown from the start of a span until before its end."""
    start, end = span
    times = video.times
    if times is None:
        if not video.fps:
            raise UnreadableVideo(f"{path}: the part from {start:g} to {end:g} s cannot be found: it has no frame rate")
        times = [position / video.fps for position in range(video.num_frames)]
    length = max(video.duration, times[-1])
    if not 0 <= start < min(end, length):
        part = f"from {start:g} s on" if math.isinf(end) else f"from {start:g} to {end:g} s"
        raise UnreadableVideo(f"{path}: the part {part} lies outside of the video, which is {length:g} s long")
    first = max(bisect_right(times, start) - 1, 0)
    return range(first, max(bisect_left(times, end), first + 1))


class VideoLoader:
    """Reads a video once and fits its frames on each of several canvases, e.g. the aligner's and the teacher's.

    What is read again and again comes from memory: least recently used videos are dropped when their pixels exceed
    `cache_bytes`. Not for several threads. It can be sent to a worker process, which then has a reader and a memory of
    its own.
    """

    def __init__(
        self, reader: ReaderSpec, frames: FrameSelection, canvases: Mapping[str, Canvas], cache_bytes: int = 0
    ) -> None:
        if not canvases:
            raise ValueError("expected at least one canvas, found none")
        self.reader, self.frames, self.canvases = reader, frames, dict(canvases)
        self.cache_bytes, self.cached_bytes = cache_bytes, 0
        self._cache: OrderedDict[tuple[str, Span | None], Views] = OrderedDict()
        self._opener: Reader | None = None

    def load(self, path: str | Path, flip: bool = False, span: Span | None = None) -> Views:
        """Return one video, or the `span` of it, on each of `canvases`, by their names.

        With `flip` all of them are mirrored left to right. An `UnreadableVideo` with the reason where the video cannot
        be decoded, or ends before the span.
        """
        key = str(path), span
        views = self._cache.get(key)
        if views is None:
            views = self._read(*key)
            self._remember(key, views)
        else:
            self._cache.move_to_end(key)
        return {name: view.flipped() for name, view in views.items()} if flip else dict(views)

    def has_cache_for(self, canvases: Mapping[str, Canvas]) -> bool:
        """Tell whether the cached frames can be used for these canvases."""
        return self.cache_bytes > 0 and all(self.canvases.get(name) == wanted for name, wanted in canvases.items())

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "cached_bytes": 0, "_cache": OrderedDict(), "_opener": None}

    def _read(self, path: str, span: Span | None) -> Views:
        if self._opener is None:
            self._opener = self.reader.build()
        selected = select_frames(self._opener, path, self.frames, span)
        video, positions = selected
        slots, seconds = self.frames.slots(len(positions)), selected.times()
        try:
            fittings = {
                name: Fitting(canvas, video.width, video.height, len(positions), slots, seconds)
                for name, canvas in self.canvases.items()
            }
        except UnreadableVideo as error:
            raise UnreadableVideo(f"{path}: {error}") from None
        places: dict[int, list[int]] = defaultdict(list)
        for slot, position in enumerate(positions):
            places[position].append(slot)
        for position, frame in decode_frames(video, list(places)):
            for fitting in fittings.values():
                for slot in places[position]:
                    fitting.put(slot, frame)
        return {name: fitting.fitted for name, fitting in fittings.items()}

    def _remember(self, key: tuple[str, Span | None], views: Views) -> None:
        size = _size(views)
        if size > self.cache_bytes:
            return
        self._cache[key] = views
        self.cached_bytes += size
        while self.cached_bytes > self.cache_bytes:
            self.cached_bytes -= _size(self._cache.popitem(last=False)[1])


def decode_frames(video: OpenVideo, positions: Sequence[int]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield the frames at ascending positions, of which few are in memory at once."""
    count = max(1, _AT_ONCE // (3 * video.width * video.height))
    for start in range(0, len(positions), count):
        part = positions[start : start + count]
        yield from zip(part, video.frames(part), strict=True)


def _size(views: Views) -> int:
    return sum(view.pixels.nbytes for view in views.values())
