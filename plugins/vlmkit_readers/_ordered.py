"""Decode a video with PyAV from its start, for files in which seeking finds wrong frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, dropwhile, islice, takewhile
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vlmkit.api import OpenVideo, UnreadableVideo, shown
from vlmkit_readers._container import AV_ERRORS, display_name, error_text, open_container, video_stream
from vlmkit_readers._survey import Matrix, PacketInfo, Survey, is_flush

__all__ = ["OrderedVideo", "Orientation"]

_MAX_BYTES = 1 << 30
"""Bytes of the pictures of one call."""
_MAX_PIXELS = 5 * 10**11
"""Pixels of a whole video: two hours at 1920x1080."""
_FREE_PIXELS, _PIXELS_PER_BYTE = 2 * 10**10, 10**5
"""Pixels that a small file may hold: some hundred bytes can make hours of big, still pictures."""
_SLANT = 1 / 57
"""Part of a side by which a matrix may slant, about one degree; one that turns by other angles counts as none."""


class Orientation(NamedTuple):
    """One of the eight ways in which a rectangle can lie: four turns, each with or without a mirror."""

    transposed: bool = False
    """Rows become columns; this comes first."""
    mirrored: bool = False
    """Left and right change places."""
    flipped: bool = False
    """Top and bottom change places."""

    @classmethod
    def of(cls, matrix: Matrix | None) -> Orientation:
        """Return the orientation that a display matrix asks for; without one, the picture is shown as it is stored."""
        if matrix is None:
            return cls()
        a, b, c, d = matrix
        if max(abs(b), abs(c)) <= _SLANT * min(abs(a), abs(d)):
            return cls(False, a < 0, d < 0)
        if max(abs(a), abs(d)) <= _SLANT * min(abs(b), abs(c)):
            return cls(True, c < 0, b < 0)
        return cls()

    @property
    def mirrors(self) -> bool:
        """True where it shows a mirrored picture, which no turn gives."""
        return (self.transposed + self.mirrored + self.flipped) % 2 == 1

    def upright(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) pixels as they are to be shown."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        return picture[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]


class _Pictures(NamedTuple):
    """The pictures that decoding in order gives."""

    num_shown: int
    skipped: int
    """Packets before the first key frame, which cannot be decoded."""
    start: int | None
    """Time of the first key frame, where packets after it show earlier, broken pictures."""

    @classmethod
    def of(cls, packets: Sequence[PacketInfo]) -> _Pictures:
        """Count without decoding."""
        skipped = next((i for i, packet in enumerate(packets) if packet.is_key), 0)
        key = packets[skipped].pts if packets and packets[skipped].is_key else None
        early = sum(1 for _ in takewhile(lambda packet: _before(packet.pts, key), packets[skipped + 1 :]))
        rest = chain(packets[skipped : skipped + 1], packets[skipped + 1 + early :])
        return cls(sum(p.num_pictures for p in rest if not p.is_discarded), skipped, key if early else None)

    def decode(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Yield PyAV's frames in order. An empty packet inside a file would end the decoding."""
        kept = (packet for packet in islice(packets, self.skipped, None) if packet.size or is_flush(packet))
        frames = (frame for packet in kept for frame in packet.decode())
        return dropwhile(lambda frame: _before(frame.pts, self.start), frames)


def _before(time: int | None, start: int | None) -> bool:
    return time is not None and start is not None and time < start


@dataclass
class OrderedVideo(OpenVideo):
    """A video that is decoded from its start at each call."""

    survey: Survey
    threads: int
    pictures: _Pictures
    orientation: Orientation
    _decoding: Iterator[Any] | None = field(default=None, repr=False)
    _position: int = -1
    """Position of `_last`, the frame that was decoded last."""
    _last: Any = field(default=None, repr=False)

    @classmethod
    def open(cls, survey: Survey, threads: int) -> OrderedVideo:
        """Count the pictures. `UnreadableVideo` where there are none."""
        pictures, frame = _Pictures.of(survey.packets), survey.first.frame
        if not pictures.num_shown or frame is None:
            problem = survey.first.problem or "no frame could be decoded"
            raise UnreadableVideo(f"{display_name(survey.source)}: {problem}")
        orientation, number = Orientation.of(survey.matrix), pictures.num_shown
        sides = (frame.height, frame.width) if orientation.transposed else (frame.width, frame.height)
        return cls(number, _fps(survey, number), *sides, survey, threads, pictures, orientation)

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return (n, H, W, 3) RGB. Where the last packets hold no picture, the last picture stands for them.

        Later frames than those of the call before are decoded from there on.
        """
        self.check_positions(positions)
        allowed = min(_MAX_PIXELS, _FREE_PIXELS + _PIXELS_PER_BYTE * self.survey.size)
        if self.num_frames * self.width * self.height > allowed:
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
        except AV_ERRORS as error:
            self._decoding = None
            if isinstance(error, UnreadableVideo):
                raise
            raise UnreadableVideo(f"{self.name}: {error_text(error)}") from None
        return chosen

    def check_positions(self, positions: Sequence[int]) -> None:
        """Raise an UnreadableVideo where there is no such frame, or all together are more than a gigabyte."""
        for position in positions:
            if not 0 <= position < self.num_frames:
                raise UnreadableVideo(
                    f"{self.name}: expected positions below {self.num_frames}, found {shown(position)}"
                )
        if 3 * len(positions) * self.height * self.width > _MAX_BYTES:
            raise UnreadableVideo(
                f"{self.name}: expected frames of at most {_MAX_BYTES} bytes together, found {len(positions)} of "
                f"{self.width}x{self.height} pixels; ask for fewer at once"
            )

    @property
    def name(self) -> str:
        """Its name in messages."""
        return display_name(self.survey.source)

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


def _fps(survey: Survey, pictures: int) -> float:
    """Return the average rate; that of AVI headers counts frames, too, that are left out because nothing changes."""
    incomplete = "avi" in survey.formats and survey.found < survey.announced and survey.seconds > 0
    return pictures / survey.seconds if incomplete else survey.fps
