"""What a file holds, found without decoding more than its first picture."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av

from vlmkit.api import UnreadableVideo

from ._bitstream import Content, PacketParser, packet_parser
from ._container import ERRORS, formats_of, open_container, reason, video_stream
from ._orientation import Matrix, display_matrix
from ._source import name_of

__all__ = ["First", "Mark", "Survey", "is_end"]

_KEY = 1
"""The flag of an entry of FFmpeg's index at which decoding can start."""
_MOST_PACKETS = 10_000_000
"""Packets of a file that are looked at: two days of video at 60 frames per second."""


class Mark(NamedTuple):
    """What is known of a packet without decoding it."""

    full: bool
    """Whether it holds data."""
    pictures: int
    """How many pictures it gives; one, where its codec cannot be read here."""
    key: bool
    """Whether FFmpeg calls it a key frame."""
    starts: bool
    """Whether its bits say that decoding can start here."""
    plain: bool
    """Whether its pictures are its own."""
    discard: bool
    """Whether an edit list leaves it out."""
    time: int | None
    """When its picture is shown, in ticks."""
    place: int | None
    """Where it stands in the file, bytes."""
    duration: int
    """Ticks."""


@dataclass
class First:
    """The first picture, or why there is none."""

    frame: Any = None
    """Of PyAV."""
    problem: str = ""
    _begun: bool = False

    def look(self, packet: Any) -> None:
        """Decode a packet, from the first key frame on, until there is a picture."""
        self._begun = self._begun or packet.is_keyframe
        if self.frame is not None or self.problem or not (is_end(packet) or (packet.size and self._begun)):
            return
        try:
            self.frame = next(iter(packet.decode()), None)
        except ERRORS as error:
            self.problem = reason(error)


@dataclass(frozen=True)
class Survey:
    """A file, its main video and the packets of that."""

    source: str | Path | bytes
    formats: frozenset[str]
    """FFmpeg's names of the container's format."""
    marks: Sequence[Mark]
    """The packets of the main video, in the order of the file."""
    parsed: bool
    """Whether the bits of its packets could be read."""
    same_keys: bool
    """Whether the container's index has the very key frames that the bits of the packets have."""
    announced: int
    """Packets that the container says there are; 0 where it does not say."""
    stated: float
    """Frames that the container says there are, or that its rate and length make; 0 where it does not say."""
    size: int
    """Bytes of the file."""
    length: float
    """Seconds that the container says it takes; 0 where it does not say."""
    tick: float
    """Seconds."""
    fps: float
    """Frames per second, as the container has them on average."""
    first: First
    """Its first picture."""
    tags: Mapping[str, str]
    """Texts about the video."""

    @property
    def matrix(self) -> Matrix | None:
        """How a picture is set upright."""
        return display_matrix(self.first.frame, self.tags)

    @property
    def packets(self) -> int:
        """How many packets hold data."""
        return sum(mark.full for mark in self.marks)

    @property
    def seconds(self) -> float:
        """From the start to the end of the last picture."""
        return span([mark for mark in self.marks if mark.full]) * self.tick

    @classmethod
    def of(cls, source: str | Path | bytes) -> Survey:
        """Look at a path or bytes.

        Raises:
            UnreadableVideo: it cannot be read, or holds no video.
        """
        try:
            with open_container(source) as container:
                return _look(source, container)
        except UnreadableVideo as error:
            raise UnreadableVideo(_named(source, str(error))) from None
        except ERRORS as error:
            raise UnreadableVideo(_named(source, reason(error))) from None


def span(marks: Sequence[Mark]) -> int:
    """Return the ticks from zero, or from the first picture where that comes before, to the end of the last one."""
    times = [(mark.time, mark.duration) for mark in marks if mark.time is not None]
    return max(time + duration for time, duration in times) - min(0, min(times)[0]) if times else 0


def _look(source: str | Path | bytes, container: Any) -> Survey:
    stream = video_stream(container)
    context = stream.codec_context
    parser = packet_parser(context.codec.canonical_name, context.extradata or b"")
    formats, announced = formats_of(container), _announced(container, stream)
    first = First()
    marks = []
    for packet in _limited(container.demux(stream)):
        marks.append(_mark(packet, parser))
        first.look(packet)
    return Survey(
        source=source,
        formats=formats,
        marks=marks,
        parsed=parser is not None,
        same_keys=_same_keys(stream, marks, "mov" in formats),
        announced=announced,
        stated=_stated(container, stream),
        size=container.size,
        length=(container.duration or 0) / av.time_base,
        tick=float(stream.time_base or 0),
        fps=float(stream.average_rate or stream.guessed_rate or 0),
        first=first if first.frame or first.problem else _first(source),
        tags=dict(stream.metadata),
    )


def _mark(packet: Any, parser: PacketParser | None) -> Mark:
    """Return what is known of a packet."""
    full = bool(packet.size)
    content = parser(memoryview(packet)) if full and parser else Content(int(full), packet.is_keyframe)
    return Mark(
        full, content.pictures, packet.is_keyframe, content.starts, content.plain, packet.is_discard, packet.pts,
        packet.pos, packet.duration or 0,
    )  # fmt: skip


def _first(source: str | Path | bytes) -> First:
    """Return the first picture of a video in which FFmpeg knows no key frame."""
    try:
        with open_container(source) as container:
            return First(next(container.decode(video_stream(container)), None))
    except ERRORS as error:
        return First(problem=reason(error))


def is_end(packet: Any) -> bool:
    """Whether FFmpeg made this packet, to get the last pictures out of a decoder."""
    return not packet.size and packet.pts is None and packet.dts is None


def _limited(packets: Iterable[Any]) -> Iterator[Any]:
    for number, packet in enumerate(packets):
        if number >= _MOST_PACKETS:
            raise UnreadableVideo(f"expected at most {_MOST_PACKETS} packets, found more; split the video")
        yield packet


def _announced(container: Any, stream: Any) -> int:
    """Return how many packets a whole file has; in MP4, those that an edit list leaves out included."""
    index = getattr(stream, "index_entries", ()) if "mov" in formats_of(container) else ()  # PyAV < 17 has no index
    return len(index) or int(stream.frames)


def _stated(container: Any, stream: Any) -> float:
    """Return the number of frames for which decord gets memory."""
    return float(stream.frames or (stream.average_rate or 0) * max(0, container.duration or 0) / av.time_base)


def _same_keys(stream: Any, marks: Sequence[Mark], by_place: bool) -> bool:
    """Return whether the index that decord seeks with has the key frames of the bits, no more and no fewer."""
    index = getattr(stream, "index_entries", None)
    if index is None:
        return False
    entries = {entry.pos if by_place else entry.timestamp for entry in index if entry.flags & _KEY}
    return entries == {mark.place if by_place else mark.time for mark in marks if mark.full and mark.starts}


def _named(source: str | Path | bytes, problem: str) -> str:
    name = name_of(source)
    return problem if problem.startswith(f"{name}: ") else f"{name}: {problem}"
