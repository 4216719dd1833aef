"""Choosing how a file is decoded."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from vlmkit.api import OpenVideo, Reader, UnreadableVideo

from ._exact import seeks_exactly
from ._ordered import OrderedVideo
from ._seeking import SeekingVideo
from ._survey import Survey
from ._whole import check_header, check_whole

__all__ = ["DecordReader"]


class DecordReader(Reader):
    """decord where its seeking is exact, PyAV in order elsewhere."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def open(self, source: str | Path | bytes) -> OpenVideo:
        """Open a file by path, or the bytes of one."""
        check_header(source)
        survey = Survey.of(source)
        check_whole(survey)
        if seeks_exactly(survey):
            with suppress(UnreadableVideo):
                return SeekingVideo.open(survey, self.threads)
        return OrderedVideo.open(survey, self.threads)
