"""What the boxes of an MP4 or MOV file say, before anything else reads it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from ._orientation import Matrix

__all__ = ["Boxes", "has_matrix", "is_mp4"]

_FIRST = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_INSIDE = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf")
"""Boxes that are made of boxes, on the way to those that are read here."""
_DEPTH = 6


class _Box(NamedTuple):
    kind: bytes
    start: int
    """Of what it holds."""
    end: int


def is_mp4(head: bytes) -> bool:
    """Return whether a file with these first bytes is one."""
    return head[4:8] in _FIRST


class Boxes(NamedTuple):
    """What the boxes of a file say."""

    indexed: bool
    """Whether the index of its frames (the box `moov`) is complete. It is written last, so that a recording or a
    download that was cut off lacks it."""
    fragmented: bool
    """Whether it consists of fragments, each with an index of its own."""
    cut: bool
    """Whether it ends within a box."""
    samples: int
    """The greatest number of samples that a video's table or a fragment claims to have. FFmpeg gets memory for so many
    before it looks for them."""

    @classmethod
    def of(cls, file: BinaryIO, length: int) -> Boxes:
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
    """Return whether the header of a track has this display matrix."""
    length = file.seek(0, 2)
    for box in _boxes(file, 0, length):
        for inner in _walk(file, box, length):
            if inner.kind == b"tkhd":
                data = _content(file, inner, 92)
                place = 52 if data[:1] == b"\1" else 40
                found = data[place : place + 20]
                if len(found) == 20 and (struct.unpack(">iixxxxii", found)) == matrix:
                    return True
    return False


def _claims(file: BinaryIO, box: _Box, length: int) -> Iterator[int]:
    video = True
    for inner in _walk(file, box, length):
        if inner.kind == b"hdlr":
            video = _content(file, inner, 12)[8:] == b"vide"
        elif inner.kind == b"stsz" and video:
            yield int.from_bytes(_content(file, inner, 12)[8:])
        elif inner.kind == b"trun":
            yield int.from_bytes(_content(file, inner, 8)[4:])


def _walk(file: BinaryIO, box: _Box, length: int, depth: int = 0) -> Iterator[_Box]:
    """Yield the boxes inside, those of the video on the way to its tables."""
    yield box
    if box.kind in _INSIDE and depth < _DEPTH:
        for inner in _boxes(file, box.start, min(box.end, length)):
            yield from _walk(file, inner, length, depth + 1)


def _boxes(file: BinaryIO, place: int, end: int) -> Iterator[_Box]:
    """Yield the boxes from a place on, also one that is cut off."""
    while place + 8 <= end:
        file.seek(place)
        head = file.read(16)
        size, start = int.from_bytes(head[:4]), place + 8
        if size == 1:
            size, start = int.from_bytes(head[8:16]), place + 16
        stop = place + size if size else end
        if stop < start:
            return
        yield _Box(head[4:8], start, stop)
        place = stop


def _content(file: BinaryIO, box: _Box, count: int) -> bytes:
    file.seek(box.start)
    return file.read(min(count, box.end - box.start))
