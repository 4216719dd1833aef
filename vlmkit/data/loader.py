"""Reading videos: decoded once, fitted for everyone who looks at them, remembered."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlmkit.api.reader import OpenVideo, Reader
from vlmkit.api.video import VideoInput
from vlmkit.data.fit import FittedVideo, Fitting
from vlmkit.data.sampling import frame_positions
from vlmkit.errors import UnreadableVideo

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["VideoLoader"]

Views = dict[str, FittedVideo]
_AT_ONCE = 1 << 28
"""Bytes of decoded frames that are in memory at once, where they are bigger than one frame."""


class VideoLoader:
    """Reads a video once and fits it for each of several inputs, e.g. the aligner's and the teacher's.

    Views that are read again and again come from memory: least recently used ones are dropped when their pixels exceed
    `cache_bytes`. Not for several threads; a forked worker has a memory of its own.
    """

    def __init__(self, reader: Reader, inputs: Mapping[str, VideoInput], cache_bytes: int = 0) -> None:
        if not inputs:
            raise ValueError("expected at least one video input, found none")
        self.reader = reader
        self.inputs = dict(inputs)
        self.cache_bytes = cache_bytes
        self.cached_bytes = 0
        self._cache: OrderedDict[str, Views] = OrderedDict()

    def load(self, path: str | Path, flip: bool = False) -> Views:
        """The views of one video, by the names of `inputs`; with `flip` all of them mirrored left to right.

        An `UnreadableVideo` with the reason where the video cannot be decoded.
        """
        key = str(path)
        views = self._cache.get(key)
        if views is None:
            views = self._read(key)
            self._remember(key, views)
        else:
            self._cache.move_to_end(key)
        return {name: view.flipped() for name, view in views.items()} if flip else dict(views)

    def _read(self, path: str) -> Views:
        video = self.reader.open(path)
        if video.num_frames < 1:
            raise UnreadableVideo(f"{path}: it holds no frames")
        views: Views = {}
        slots: dict[int, list[tuple[Fitting, int]]] = defaultdict(list)
        for name, view in self.inputs.items():
            chosen = frame_positions(view.sampling, video.num_frames, video.fps, view.frames)
            fitting = Fitting(view, video.width, video.height, len(chosen))
            views[name] = fitting.fitted
            for slot, position in enumerate(chosen):
                slots[position].append((fitting, slot))
        for position, frame in _frames(video, sorted(slots)):
            for fitting, slot in slots[position]:
                fitting.put(slot, frame)
        return views

    def _remember(self, key: str, views: Views) -> None:
        size = _size(views)
        if size > self.cache_bytes:
            return
        self._cache[key] = views
        self.cached_bytes += size
        while self.cached_bytes > self.cache_bytes:
            self.cached_bytes -= _size(self._cache.popitem(last=False)[1])


def _frames(video: OpenVideo, positions: Sequence[int]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Yield the frames at ascending positions, of which few are in memory at once."""
    count = max(1, _AT_ONCE // (3 * video.width * video.height))
    for start in range(0, len(positions), count):
        part = positions[start : start + count]
        yield from zip(part, video.frames(part), strict=True)


def _size(views: Views) -> int:
    return sum(view.pixels.nbytes for view in views.values())
