"""Whether a file is whole: what is there against what its header announces."""

from __future__ import annotations

from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from vlmkit.api import UnreadableVideo

from ._container import open_container
from ._ends import asf_length, gif_is_cut, png_is_cut
from ._mp4 import Boxes, is_mp4
from ._source import name_of, open_file
from ._survey import Survey

__all__ = ["check_header", "check_whole"]

_LOST = 0.1
"""A file that lacks more than this part of what its header announces counts as truncated."""
_TIMED = {"flv", "matroska", "mxf"}
"""Formats whose headers say how long the file takes; of others, FFmpeg guesses that from what is there."""


def check_header(source: str | Path | bytes) -> None:
    """Check the first bytes, and the boxes of an MP4, before FFmpeg reads them.

    Raises:
        UnreadableVideo: the file is empty, no regular one or cut off, or its index claims impossible sizes.
    """
    with open_file(source) as file:
        problem = _problem(file)
    if problem:
        raise UnreadableVideo(f"{name_of(source)}: {problem}")


def _problem(file: BinaryIO) -> str:
    length = file.seek(0, SEEK_END)
    file.seek(0)
    head = file.read(16)
    if not head:
        return "the file is empty"
    if is_mp4(head):
        boxes = Boxes.of(file, length)
        if not boxes.indexed:
            return "its index (moov) is missing or cut off; the file is incomplete"
        if boxes.samples > length:
            return f"its index claims {boxes.samples} frames in {length} bytes; the file is damaged"
        if boxes.cut and boxes.fragmented:
            return "it ends within a fragment; the file is incomplete"
    if length < (1 - _LOST) * (announced := asf_length(file)):
        return f"{length} of {announced} bytes found; the file is incomplete"
    return "it ends within a picture; the file is incomplete" if gif_is_cut(file) or png_is_cut(file) else ""


def check_whole(survey: Survey) -> None:
    """Compare packets and times with the header.

    It may be wrong about one of them: AVI files leave out frames that did not change, videos end before their sound.

    Raises:
        UnreadableVideo: more than a tenth is missing.
    """
    found, announced = survey.packets, survey.announced
    if "avi" in survey.formats:
        found = max(found, round(survey.seconds / survey.tick)) if survey.tick else found
    if found < (1 - _LOST) * announced:
        raise UnreadableVideo(
            f"{name_of(survey.source)}: {survey.packets} of {announced} frames found; the file is incomplete"
        )
    if survey.formats & _TIMED and survey.seconds < (1 - _LOST) * survey.length:
        seconds = _seconds(survey)
        if seconds < (1 - _LOST) * survey.length:
            raise UnreadableVideo(
                f"{name_of(survey.source)}: {seconds:.3g} of {survey.length:.3g} seconds found; the file is incomplete"
            )


def _seconds(survey: Survey) -> float:
    """Return when the last packet of any stream ends."""
    with open_container(survey.source) as container:
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None and packet.time_base
        ]
    return max(survey.seconds, *ends, 0.0)
