"""Whether decord finds the right frames of a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ._container import ERRORS, open_container, video_stream

__all__ = ["seeks_exactly"]


def seeks_exactly(source: str | Path | bytes) -> bool:
    """False where decord seeks to wrong frames; found without decoding. True where PyAV cannot read the file."""
    try:
        with open_container(source) as container:
            return _is_closed(container.demux(video_stream(container)))
    except ERRORS:
        return True


def _is_closed(packets: Iterable[Any]) -> bool:
    """Whether every packet gives a picture, also after a seek to the last key frame before it.

    It does not where an edit list leaves it out, no key frame comes before it, or it shows a picture from before its
    key frame ("open" groups of pictures): decord then counts pictures that it does not get.
    """
    start: int | None = None
    for number, packet in enumerate(packet for packet in packets if packet.size):
        if packet.is_discard:
            return False
        if packet.is_keyframe:
            start = packet.pts
        elif not number or (start is not None and packet.pts is not None and packet.pts < start):
            return False
    return True
