"""Which packets of a video give pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, dropwhile, islice, takewhile
from typing import Any, NamedTuple

__all__ = ["Pictures"]


class Pictures(NamedTuple):
    """The pictures that decoding in order delivers."""

    packets: int
    """Packets in the file that hold data."""
    shown: int
    """Those that give a picture."""
    skipped: int
    """Packets before the first key frame, which cannot be decoded."""
    start: int | None
    """Time of the first key frame, where packets after it show earlier, broken pictures."""

    @classmethod
    def of(cls, packets: Iterable[Any]) -> Pictures:
        """Count without decoding."""
        marks = [_Mark(bool(p.size), p.is_keyframe, p.is_discard, p.pts) for p in packets]
        skipped = next((i for i, mark in enumerate(marks) if mark.key), 0)
        key = marks[skipped].time if marks and marks[skipped].key else None
        early = sum(1 for _ in takewhile(lambda mark: _before(mark.time, key), marks[skipped + 1 :]))
        rest = chain(marks[skipped : skipped + 1], marks[skipped + 1 + early :])
        shown = sum(mark.full and not mark.discard for mark in rest)
        return cls(sum(mark.full for mark in marks), shown, skipped, key if early else None)

    def decode(self, packets: Iterable[Any]) -> Iterator[Any]:
        """The pictures in order."""
        frames = (frame for packet in islice(packets, self.skipped, None) for frame in packet.decode())
        return dropwhile(lambda frame: _before(frame.pts, self.start), frames)


class _Mark(NamedTuple):
    """What is known of a packet without decoding it."""

    full: bool
    key: bool
    discard: bool
    time: int | None


def _before(time: int | None, start: int | None) -> bool:
    return time is not None and start is not None and time < start
