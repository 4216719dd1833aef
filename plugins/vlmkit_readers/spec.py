"""The options of the readers."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from vlmkit.api import Reader, ReaderSpec

__all__ = ["DecordSpec"]


class DecordSpec(ReaderSpec):
    """Files of any container that FFmpeg knows, exact to the frame.

    MP4, MOV, MKV and WebM are read by decord, which jumps to the wanted frames. In other containers (AVI, GIF,
    MPEG-TS, WMV, …) decord jumps to wrong frames or fails, so these, and files that decord cannot open (AV1), are
    decoded in order by PyAV, which takes longer for long videos.
    """

    type: Literal["decord"] = "decord"
    threads: PositiveInt = 1
    """Decoding threads per video."""

    def build(self) -> Reader:
        """The reader."""
        from ._reader import DecordReader

        return DecordReader(self.threads)
