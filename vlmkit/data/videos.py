"""Reading videos: decoded once, fitted for everyone who looks at them, remembered."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from vlmkit.api.reader import Reader
from vlmkit.api.video import VideoInput
from vlmkit.data.fit import FittedVideo, fit_frames
from vlmkit.data.sampling import frame_positions
from vlmkit.errors import UnreadableVideo

__all__ = ["VideoLoader"]

Views = dict[str, FittedVideo]


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
        wanted = {
            name: frame_positions(view.sampling, video.num_frames, video.fps, view.frames)
            for name, view in self.inputs.items()
        }
        positions = sorted({position for chosen in wanted.values() for position in chosen})
        index = {position: i for i, position in enumerate(positions)}
        frames = video.frames(positions)
        return {
            name: fit_frames(frames[[index[position] for position in chosen]], self.inputs[name])
            for name, chosen in wanted.items()
        }

    def _remember(self, key: str, views: Views) -> None:
        size = _size(views)
        if size > self.cache_bytes:
            return
        self._cache[key] = views
        self.cached_bytes += size
        while self.cached_bytes > self.cache_bytes:
            self.cached_bytes -= _size(self._cache.popitem(last=False)[1])


def _size(views: Views) -> int:
    return sum(view.pixels.nbytes for view in views.values())
