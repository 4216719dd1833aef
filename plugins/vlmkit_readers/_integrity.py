"""Check that a file is whole: its header before FFmpeg reads it, then its packets against what that states.

FFmpeg takes whatever is there for the whole, and gets memory for whatever a header claims. Sources: MP4 and MOV
(ISO/IEC 14496-12, 8), GIF89a (CompuServe, appendix B), PNG (W3C, 5.3), ASF (Microsoft, section 3.2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import SEEK_CUR, SEEK_END
from pathlib import Path
from typing import BinaryIO, NamedTuple

from vlmkit.api import UnreadableVideo
from vlmkit_readers._container import display_name, open_container, open_file
from vlmkit_readers._survey import Matrix, Survey

__all__ = ["check_header", "check_length", "has_matrix"]

_MISSING = 0.1
"""A file that lacks more than this part of what its header announces counts as truncated."""
_TIMED = {"flv", "matroska", "mxf"}
"""Formats whose headers state how long the file takes; of others, FFmpeg guesses that from what is there."""


def check_header(source: str | Path | bytes) -> None:
    """Check the first bytes, and the boxes of an MP4, before FFmpeg reads them.

    An UnreadableVideo where the file is empty, no regular one or cut off, or its index claims impossible sizes.
    """
    with open_file(source) as file:
        problem = _header_problem(file)
    if problem:
        raise UnreadableVideo(f"{display_name(source)}: {problem}")


def _header_problem(file: BinaryIO) -> str:
    length = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(16)
    if not head:
        return "the file is empty"
    if head[4:8] in _MP4_FIRST:
        boxes = _Mp4Boxes.of(file, length)
        if not boxes.is_indexed:
            return "its index (moov) is missing or cut off; the file is incomplete"
        if boxes.samples > length:
            return f"its index claims {boxes.samples} frames in {length} bytes; the file is damaged"
        if boxes.is_cut and boxes.is_fragmented:
            return "it ends within a fragment; the file is incomplete"
    if length < (1 - _MISSING) * (announced := _asf_length(file)):
        return f"{length} of {announced} bytes found; the file is incomplete"
    return "it ends within a picture; the file is incomplete" if _gif_is_cut(file) or _png_is_cut(file) else ""


def check_length(survey: Survey) -> None:
    """Compare packets and times with the header. An UnreadableVideo where more than a tenth is missing.

    It may be wrong about one of them: AVI files leave out frames that did not change, videos end before their sound.
    """
    found, announced = survey.found, survey.announced
    if "avi" in survey.formats:
        found = max(found, round(survey.seconds / survey.tick)) if survey.tick else found
    if found < (1 - _MISSING) * announced:
        problem = f"{survey.found} of {announced} frames found; the file is incomplete"
        raise UnreadableVideo(f"{display_name(survey.source)}: {problem}")
    if survey.formats & _TIMED and survey.seconds < (1 - _MISSING) * survey.length:
        seconds = _seconds(survey)
        if seconds < (1 - _MISSING) * survey.length:
            problem = f"{seconds:.3g} of {survey.length:.3g} seconds found; the file is incomplete"
            raise UnreadableVideo(f"{display_name(survey.source)}: {problem}")


def _seconds(survey: Survey) -> float:
    """Return when the last packet of any stream ends."""
    with open_container(survey.source) as container:
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None and packet.time_base
        ]
    return max(survey.seconds, *ends, 0.0)


_MP4_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
"""Boxes with which an MP4 or MOV file begins."""
_CONTAINERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
"""Boxes that are made of boxes, on the way to those that are read here."""
_MAX_DEPTH = 6


class _Box(NamedTuple):
    kind: bytes
    start: int
    """First byte of its content."""
    end: int


class _Mp4Boxes(NamedTuple):
    """A summary of the boxes of a file."""

    is_indexed: bool
    """The index of its frames (the box `moov`) is complete. It is written last, so that a recording or a
    download that was cut off lacks it."""
    is_fragmented: bool
    """It consists of fragments, each with an index of its own."""
    is_cut: bool
    """It ends within a box."""
    samples: int
    """The greatest number of samples that a video's table or a fragment claims to have. FFmpeg gets memory for so many
    before it looks for them."""

    @classmethod
    def of(cls, file: BinaryIO, length: int) -> _Mp4Boxes:
        """Read the boxes of a file of `length` bytes."""
        boxes = list(_boxes(file, 0, length))
        claims = (claim for box in boxes for claim in _claims(file, box, length))
        return cls(
            any(box.kind == b"moov" and box.end <= length for box in boxes),
            any(box.kind == b"moof" for box in boxes),
            bool(boxes) and boxes[-1].end > length,
            max(claims, default=0),
        )


def has_matrix(file: BinaryIO, matrix: Matrix) -> bool:
    """Return whether the header of a track of an MP4 has this display matrix."""
    length = file.seek(0, SEEK_END)
    for box in _boxes(file, 0, length):
        for inner in _walk(file, box, length):
            if inner.kind == b"tkhd":
                data = _content(file, inner, 92)
                offset = 52 if data[:1] == b"\1" else 40
                found = data[offset : offset + 20]
                if len(found) == 20 and (struct.unpack(">iixxxxii", found)) == matrix:
                    return True
    return False


def _claims(file: BinaryIO, box: _Box, length: int) -> Iterator[int]:
    """Yield the numbers of samples that tables of videos and fragments claim."""
    is_video = True
    for inner in _walk(file, box, length):
        if inner.kind == b"hdlr":
            is_video = _content(file, inner, 12)[8:] == b"vide"
        elif inner.kind == b"stsz" and is_video:
            yield int.from_bytes(_content(file, inner, 12)[8:])
        elif inner.kind == b"trun":
            yield int.from_bytes(_content(file, inner, 8)[4:])


def _walk(file: BinaryIO, box: _Box, length: int, depth: int = 0) -> Iterator[_Box]:
    """Yield a box and those inside, on the way to the tables of the video."""
    yield box
    if box.kind in _CONTAINERS and depth < _MAX_DEPTH:
        for inner in _boxes(file, box.start, min(box.end, length)):
            yield from _walk(file, inner, length, depth + 1)


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[_Box]:
    """Yield the boxes from `start` on, also one that is cut off."""
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        size, content = int.from_bytes(head[:4]), start + 8
        if size == 1:
            size, content = int.from_bytes(head[8:16]), start + 16
        stop = start + size if size else end
        if stop < content:
            return
        yield _Box(head[4:8], content, stop)
        start = stop


def _content(file: BinaryIO, box: _Box, count: int) -> bytes:
    file.seek(box.start)
    return file.read(min(count, box.end - box.start))


_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_ASF_HEADER = 1 << 16
_ASF_LIVE = 1


def _asf_length(file: BinaryIO) -> int:
    """Return how many bytes an ASF file (WMV) says it has; 0 where it does not say, or is none."""
    file.seek(0)
    head = file.read(_ASF_HEADER)
    start = head.find(_ASF_PROPERTIES) if head.startswith(_ASF) else -1
    if start < 0 or len(head) < start + 92 or head[start + 88] & _ASF_LIVE:
        return 0
    return int.from_bytes(head[start + 40 : start + 48], "little")


def _png_is_cut(file: BinaryIO) -> bool:
    """Return whether a file is a PNG, animated or not, that lacks its last chunk."""
    file.seek(0)
    if file.read(8) != b"\x89PNG\r\n\x1a\n":
        return False
    while len(head := file.read(8)) == 8:
        if head[4:] == b"IEND":
            return False
        file.seek(int.from_bytes(head[:4]) + 4, SEEK_CUR)
    return True


_GIF_SCREEN, _GIF_FRAME = 13, 10
"""Bytes of the headers of a GIF and of one of its pictures, before their colors."""
_GIF_MAX_BYTES = 1 << 28
"""Bytes of a GIF that are looked at."""


def _gif_is_cut(file: BinaryIO) -> bool:
    """Return whether a file is a GIF that ends within a picture. Some encoders leave out the mark of the end."""
    file.seek(0)
    data = file.read(6)
    if data not in (b"GIF87a", b"GIF89a"):
        return False
    data += file.read(_GIF_MAX_BYTES)
    if len(data) > _GIF_MAX_BYTES:
        return False
    at = _GIF_SCREEN + _gif_colors(data, 10)
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x21:  # an extension: its kind, then blocks
            at += 2
        elif data[at] == 0x2C:  # a picture: place and size, colors, the width of codes, then blocks
            at += _GIF_FRAME + _gif_colors(data, at + 9) + 1
        else:
            return False  # no GIF from here on, which decoders skip
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return at > len(data)


def _gif_colors(data: bytes, at: int) -> int:
    """Return the bytes of a table of colors, by the flags at a place."""
    flags = data[at] if at < len(data) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
