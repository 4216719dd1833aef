"""Which pictures of a video decoding in order delivers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, dropwhile, islice, takewhile
from typing import Any, NamedTuple

from ._survey import Mark, is_end

__all__ = ["Pictures"]


class Pictures(NamedTuple):
    """The pictures of a video."""

    shown: int
    """How many there are."""
    skipped: int
    """Packets before the first key frame, which cannot be decoded."""
    start: int | None
    """Time of the first key frame, where packets after it show earlier, broken pictures."""

    @classmethod
    def of(cls, marks: Sequence[Mark]) -> Pictures:
        """Count without decoding."""
        skipped = next((i for i, mark in enumerate(marks) if mark.key), 0)
        key = marks[skipped].time if marks and marks[skipped].key else None
        early = sum(1 for _ in takewhile(lambda mark: _before(mark.time, key), marks[skipped + 1 :]))
        rest = chain(marks[skipped : skipped + 1], marks[skipped + 1 + early :])
        return cls(sum(mark.pictures for mark in rest if not mark.discard), skipped, key if early else None)

    def decode(self, packets: Iterable[Any]) -> Iterator[Any]:
        """Yield the pictures in order. An empty packet inside a file would end the decoding."""
        kept = (packet for packet in islice(packets, self.skipped, None) if packet.size or is_end(packet))
        frames = (frame for packet in kept for frame in packet.decode())
        return dropwhile(lambda frame: _before(frame.pts, self.start), frames)


def _before(time: int | None, start: int | None) -> bool:
    return time is not None and start is not None and time < start
