"""The reader `decord`: decord where its seeking finds the right frames, PyAV in order elsewhere.

decord numbers the packets by their times, jumps to the key frame before a wanted one through the container's index,
and counts pictures from there. So it shows others, or waits for ever, where a packet gives no picture of its own, where
index and packets differ about the key frames, or where times are not what they seem.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import decord
import numpy as np
import numpy.typing as npt
from decord._ffi.base import DECORDError, DECORDLimitReachedError

from vlmkit.api import OpenVideo, Reader, UnreadableVideo
from vlmkit_readers._container import open_file
from vlmkit_readers._integrity import check_header, check_length, has_matrix
from vlmkit_readers._ordered import OrderedVideo, Orientation
from vlmkit_readers._survey import PacketInfo, Survey

__all__ = ["DecordReader", "SeekingVideo"]

_DECORD_ERRORS = (RuntimeError, DECORDError, DECORDLimitReachedError, IndexError, OSError)
_NO_REPEATS = 1e-9
"""The part of frames for which decord may repeat another one, in place of one that it does not find."""
_FORMATS = {"matroska", "mov"}
_MAX_PTS = 2**31
"""Time stamps from here on do not fit into decord's index."""
_MAX_STATED = 10**7
"""Frames that a header may state: decord ends the process where it gets no memory for them, or they cannot be told."""

decord.logging.set_level(decord.logging.QUIET)  # FFmpeg's own complaints; what matters is raised


class DecordReader(Reader):
    """decord where its seeking is exact, PyAV in order elsewhere."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def open(self, source: str | Path | bytes) -> OpenVideo:
        """Open a file by path, or the bytes of one."""
        check_header(source)
        survey = Survey.of(source)
        check_length(survey)
        ordered = OrderedVideo.open(survey, self.threads)
        if _seeks_exactly(survey):
            with suppress(UnreadableVideo):
                return SeekingVideo.open(ordered)
        return ordered


@dataclass
class SeekingVideo(OpenVideo):
    """A video open in decord. Where decord fails after all, it is decoded in order."""

    reader: Any
    ordered: OrderedVideo

    @classmethod
    def open(cls, ordered: OrderedVideo) -> SeekingVideo:
        """Open its file in decord. An UnreadableVideo where that fails, or finds something else than PyAV."""
        survey, source = ordered.survey, ordered.survey.source
        try:
            # `file:` keeps FFmpeg from reading a name as another protocol
            given = io.BytesIO(source) if isinstance(source, bytes) else f"file:{source}"
            reader = decord.VideoReader(given, num_threads=ordered.threads, fault_tol=_NO_REPEATS)
            first = reader.get_batch([0]).asnumpy()  # fails for widths of up to 72 pixels, which decord cannot copy
            found = first.shape[1:], len(reader), list(reader.get_key_indices())
            fps = float(reader.get_avg_fps())
        except (*_DECORD_ERRORS, UnicodeError) as error:
            raise UnreadableVideo(f"{ordered.name}: {_decord_message(error)}") from None
        packets = [packet for packet in survey.packets if packet.has_data]
        keys = [i for i, packet in enumerate(packets) if packet.can_start]
        if found != ((ordered.height, ordered.width, 3), len(packets), keys):
            raise UnreadableVideo(f"{ordered.name}: decord finds other frames than PyAV")
        return cls(len(packets), fps, ordered.width, ordered.height, reader, ordered)

    def frames(self, positions: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return (n, H, W, 3) RGB.

        Where the last packets hold no picture, decord goes back to one that it finds, and complains if it has to do so
        again. So it is asked for the frame before the last one, too.
        """
        self.ordered.check_positions(positions)
        last = max(positions, default=0)
        asked = sorted({*positions, max(0, last - 1)})
        try:
            frames: npt.NDArray[np.uint8] = self.reader.get_batch(asked).asnumpy()
        except _DECORD_ERRORS:
            return self.ordered.frames(positions)
        return frames[np.searchsorted(asked, np.asarray(positions, np.int64))]


def _decord_message(error: Exception) -> str:
    """Return decord's message without times, source lines and stack trace."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^(\[[\d:]+\] \S+:\d+: )+", "", lines[0])


def _seeks_exactly(survey: Survey) -> bool:
    """Return whether decord's seeking gives the pictures that decoding in order gives."""
    return (
        bool(survey.formats & _FORMATS)
        and survey.is_parsed
        and survey.same_keys
        and survey.first.frame is not None
        and 0 < survey.stated_frames < _MAX_STATED
        and _turns_alike(survey)
        and _is_closed(packet for packet in survey.packets if packet.has_data or packet.pts is not None)
    )


def _turns_alike(survey: Survey) -> bool:
    """Return whether decord sets pictures upright: quarter turns that the header of an MP4 asks for."""
    if any(tag.lower() == "rotate" for tag in survey.tags):  # decord prefers it to the matrix
        return False
    matrix = survey.matrix
    if matrix is None or Orientation.of(matrix) == Orientation():
        return True
    a, b, c, d = matrix
    if Orientation.of(matrix).mirrors or (any((a, d)) and any((b, c))):
        return False
    with open_file(survey.source) as file:
        return "mov" in survey.formats and has_matrix(file, matrix)


def _is_closed(packets: Iterable[PacketInfo]) -> bool:
    """Return whether every packet gives one picture, also after a seek to the last key frame before it.

    It does not where an edit list leaves it out, it is a reference that is never shown, no key frame comes before it,
    or it shows a picture from before its key frame ("open" groups of pictures).
    """
    start, times = None, set[int]()
    latest = -_MAX_PTS
    for packet in packets:
        pts = packet.pts
        if packet.is_discarded or not packet.is_plain or packet.num_pictures != 1 or pts is None:
            return False
        if abs(pts) >= _MAX_PTS or packet.is_key != packet.can_start or pts in times:
            return False
        start = pts if packet.can_start else start
        if start is None or pts < start or (packet.can_start and pts < latest):
            return False
        times.add(pts)
        latest = max(latest, pts)
    return True
