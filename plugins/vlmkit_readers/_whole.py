"""Whether a file is whole: what is there against what its header announces."""

from __future__ import annotations

from pathlib import Path

from vlmkit.api import UnreadableVideo

from ._container import open_container
from ._mp4 import has_index, is_mp4, most_samples
from ._source import name_of, open_file
from ._survey import Survey

__all__ = ["check_header", "check_whole"]

_LOST = 0.1
"""A file that lacks more than this part of what its header announces counts as truncated."""
_TIMED = {"asf", "flv", "matroska"}
"""Formats whose headers say how long the file takes; of others, FFmpeg guesses that from what is there."""


def check_header(source: str | Path | bytes) -> None:
    """Check the first bytes, and the boxes of an MP4, before FFmpeg reads them.

    Raises:
        UnreadableVideo: the file is empty, or no regular one, its index is missing, or claims impossible sizes.
    """
    with open_file(source) as file:
        length = file.seek(0, 2)
        file.seek(0)
        head = file.read(16)
        if not head:
            raise UnreadableVideo(f"{name_of(source)}: the file is empty")
        if not is_mp4(head):
            return
        if not has_index(file, length):
            problem = "its index (moov) is missing or cut off; the file is incomplete"
            raise UnreadableVideo(f"{name_of(source)}: {problem}")
        if (claimed := most_samples(file, length)) > length:
            problem = f"its index claims {claimed} frames in {length} bytes; the file is damaged"
            raise UnreadableVideo(f"{name_of(source)}: {problem}")


def check_whole(survey: Survey) -> None:
    """Compare packets and times with the header.

    It may be wrong about one of them: AVI files leave out frames that did not change, videos end before their sound.

    Raises:
        UnreadableVideo: more than a tenth is missing.
    """
    found, announced = survey.packets, survey.announced
    counted = announced > 0 and found < (1 - _LOST) * announced
    timed = survey.formats & _TIMED and survey.seconds < (1 - _LOST) * survey.length
    if "avi" in survey.formats:
        counted = counted and survey.seconds < (1 - _LOST) * survey.length
    if counted:
        problem = f"{found} of {announced} frames found"
    elif timed and (seconds := _seconds(survey)) < (1 - _LOST) * survey.length:
        problem = f"{seconds:.3g} of {survey.length:.3g} seconds found"
    else:
        return
    raise UnreadableVideo(f"{name_of(survey.source)}: {problem}; the file is incomplete")


def _seconds(survey: Survey) -> float:
    """Return when the last packet of any stream ends."""
    with open_container(survey.source) as container:
        ends = [
            float((packet.pts + (packet.duration or 0)) * packet.time_base)
            for packet in container.demux()
            if packet.pts is not None and packet.time_base
        ]
    return max(survey.seconds, *ends, 0.0)
