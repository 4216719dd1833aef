"""Look through a video file without decoding more than its first picture: its packets, and what its header states."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from vlmkit.api import UnreadableVideo
from vlmkit_readers._bitstream import PacketContent, PacketParser, packet_parser
from vlmkit_readers._container import AV_ERRORS, display_name, error_text, open_container, video_stream

__all__ = ["FirstPicture", "Matrix", "PacketInfo", "Survey", "is_flush"]

_KEY = 1
"""The flag of an entry of FFmpeg's index at which decoding can start."""
_MAX_PACKETS = 10_000_000
"""Packets of a file that are looked at: two days of video at 60 frames per second."""

Matrix = tuple[int, int, int, int]
"""a, b, c, d of a display matrix (ISO/IEC 14496-12, 6.2.2), which turn and mirror: a point (x, y) is shown at
(ax + cy, bx + dy)."""
_TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""Matrices by degrees, clockwise."""


class PacketInfo(NamedTuple):
    """A packet of the main video, not decoded."""

    has_data: bool
    num_pictures: int
    """Pictures that it gives; 1 where its codec cannot be parsed here."""
    is_key: bool
    """FFmpeg calls it a key frame."""
    can_start: bool
    """Its bits say that decoding can start here."""
    is_plain: bool
    """Its pictures are its own: neither those of other packets nor of several."""
    is_discarded: bool
    """An edit list leaves it out."""
    pts: int | None
    """Presentation time stamp, ticks."""
    pos: int | None
    """Offset in the file, bytes."""
    duration: int
    """Ticks."""


@dataclass
class FirstPicture:
    """The first picture of a video, or why there is none."""

    frame: Any = None
    """PyAV's frame."""
    problem: str = ""
    _begun: bool = False

    def feed(self, packet: Any) -> None:
        """Decode a packet, from the first key frame on, until there is a picture."""
        self._begun = self._begun or packet.is_keyframe
        if self.frame is not None or self.problem or not (is_flush(packet) or (packet.size and self._begun)):
            return
        try:
            self.frame = next(iter(packet.decode()), None)
        except AV_ERRORS as error:
            self.problem = error_text(error)


@dataclass(frozen=True)
class Survey:
    """A file, its main video and the packets of that."""

    source: str | Path | bytes
    formats: frozenset[str]
    """FFmpeg's names of the container's format."""
    packets: Sequence[PacketInfo]
    """The packets of the main video, in the order of the file."""
    is_parsed: bool
    """The bits of its packets could be read."""
    same_keys: bool
    """The container's index has the very key frames that the bits of the packets have."""
    announced: int
    """Packets that the container states; 0 where it does not."""
    stated_frames: float
    """Frames for which decord gets memory: those that the container states, or its rate times its length; 0 where it
    does not say."""
    size: int
    """Bytes of the file."""
    length: float
    """Seconds that the container states; 0 where it does not."""
    tick: float
    """Seconds."""
    fps: float
    """Frames per second, the container's average."""
    first: FirstPicture
    tags: Mapping[str, str]
    """Texts about the video."""

    @property
    def matrix(self) -> Matrix | None:
        """The display matrix of the first picture; without one, that of the tag `rotate` of older Matroska files."""
        data = self.first.frame.side_data.get("DISPLAYMATRIX")
        if data is not None:
            a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
            return a, b, c, d
        rotate = next((value for key, value in self.tags.items() if key.lower() == "rotate"), "")
        return _TURNS.get(int(rotate) % 360) if rotate.removeprefix("-").isdecimal() and len(rotate) < 5 else None

    @property
    def found(self) -> int:
        """Packets that hold data."""
        return sum(packet.has_data for packet in self.packets)

    @property
    def seconds(self) -> float:
        """Time from zero, or from the first picture where that comes before, to the end of the last one."""
        shown = [(p.pts, p.duration) for p in self.packets if p.has_data and p.pts is not None]
        return (max(map(sum, shown)) - min(0, min(shown)[0])) * self.tick if shown else 0.0

    @classmethod
    def of(cls, source: str | Path | bytes) -> Survey:
        """Look through a path or bytes. An UnreadableVideo where it cannot be read, or holds no video."""
        try:
            with open_container(source) as container:
                return _survey(source, container)
        except AV_ERRORS as error:
            name, problem = display_name(source), error_text(error)
            raise UnreadableVideo(problem if problem.startswith(f"{name}: ") else f"{name}: {problem}") from None


def _survey(source: str | Path | bytes, container: Any) -> Survey:
    stream = video_stream(container)
    context = stream.codec_context
    parser = packet_parser(context.codec.canonical_name, context.extradata or b"")
    formats = frozenset(container.format.name.split(","))
    is_mov = "mov" in formats
    index = getattr(stream, "index_entries", None)  # PyAV < 17 has none
    length = max(0, container.duration or 0) / av.time_base
    first = FirstPicture()
    packets: list[PacketInfo] = []
    for packet in container.demux(stream):
        if len(packets) >= _MAX_PACKETS:
            raise UnreadableVideo(f"expected at most {_MAX_PACKETS} packets, found more; split the video")
        packets.append(_packet_info(packet, parser))
        first.feed(packet)
    return Survey(
        source=source,
        formats=formats,
        packets=packets,
        is_parsed=parser is not None,
        same_keys=index is not None and _same_keys(index, packets, by_position=is_mov),
        # The index of an MP4 has the packets that an edit list leaves out, too.
        announced=(len(index or ()) if is_mov else 0) or int(stream.frames),
        stated_frames=float(stream.frames or (stream.average_rate or 0) * length),
        size=container.size,
        length=length,
        tick=float(stream.time_base or 0),
        fps=float(stream.average_rate or stream.guessed_rate or 0),
        first=first if first.frame or first.problem else _first_picture(source),
        tags=dict(stream.metadata),
    )


def _packet_info(packet: Any, parser: PacketParser | None) -> PacketInfo:
    data = bool(packet.size)
    content = parser(memoryview(packet)) if data and parser else PacketContent(int(data), packet.is_keyframe)
    return PacketInfo(
        data, content.num_pictures, packet.is_keyframe, content.can_start, content.is_plain, packet.is_discard,
        packet.pts, packet.pos, packet.duration or 0,
    )  # fmt: skip


def _first_picture(source: str | Path | bytes) -> FirstPicture:
    """Return the first picture of a video in which FFmpeg knows no key frame."""
    try:
        with open_container(source) as container:
            return FirstPicture(next(container.decode(video_stream(container)), None))
    except AV_ERRORS as error:
        return FirstPicture(problem=error_text(error))


def is_flush(packet: Any) -> bool:
    """Return whether FFmpeg made this packet, to get the last pictures out of a decoder."""
    return not packet.size and packet.pts is None and packet.dts is None


def _same_keys(index: Iterable[Any], packets: Sequence[PacketInfo], by_position: bool) -> bool:
    """Return whether the index that decord seeks with has the key frames of the bits, no more and no fewer."""
    entries = {entry.pos if by_position else entry.timestamp for entry in index if entry.flags & _KEY}
    return entries == {p.pos if by_position else p.pts for p in packets if p.has_data and p.can_start}
