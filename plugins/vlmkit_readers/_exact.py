"""Whether decord finds the right frames of a file.

decord numbers the packets by their times, jumps to the key frame before a wanted one through the container's index,
and counts pictures from there. So it shows others, or waits for ever, where a packet gives no picture of its own, where
index and packets differ about the key frames, or where times are not what they seem.
"""

from __future__ import annotations

from collections.abc import Iterable

from ._mp4 import has_matrix
from ._orientation import Orientation
from ._source import open_file
from ._survey import Mark, Survey

__all__ = ["seeks_exactly"]

_FORMATS = {"matroska", "mov"}
_LATEST = 2**31
"""Time stamps from here on do not fit into decord's index."""
_MOST_STATED = 10**7
"""Frames that a header may state: decord ends the process where it gets no memory for them, or they cannot be told."""


def seeks_exactly(survey: Survey) -> bool:
    """Return whether decord's seeking gives the pictures that decoding in order gives."""
    return (
        bool(survey.formats & _FORMATS)
        and survey.parsed
        and survey.same_keys
        and survey.first.frame is not None
        and 0 < survey.stated < _MOST_STATED
        and _turns_alike(survey)
        and _is_closed(mark for mark in survey.marks if mark.full or mark.time is not None)
    )


def _turns_alike(survey: Survey) -> bool:
    """Return whether decord sets pictures upright: quarter turns that the header of an MP4 asks for."""
    if any(tag.lower() == "rotate" for tag in survey.tags):  # decord prefers it to the matrix
        return False
    if survey.matrix is None or Orientation.of(survey.matrix) == Orientation():
        return True
    a, b, c, d = survey.matrix
    if Orientation.of(survey.matrix).mirrors or (any((a, d)) and any((b, c))):
        return False
    with open_file(survey.source) as file:
        return "mov" in survey.formats and has_matrix(file, survey.matrix)


def _is_closed(marks: Iterable[Mark]) -> bool:
    """Return whether every packet gives one picture, also after a seek to the last key frame before it.

    It does not where an edit list leaves it out, it is a reference that is never shown, no key frame comes before it,
    or it shows a picture from before its key frame ("open" groups of pictures).
    """
    start, times = None, set[int]()
    latest = -_LATEST
    for mark in marks:
        if mark.discard or not mark.plain or mark.pictures != 1 or mark.time is None or abs(mark.time) >= _LATEST:
            return False
        if mark.key != mark.starts or mark.time in times:
            return False
        if mark.starts and mark.time < latest:
            return False
        start = mark.time if mark.starts else start
        if start is None or mark.time < start:
            return False
        times.add(mark.time)
        latest = max(latest, mark.time)
    return True
