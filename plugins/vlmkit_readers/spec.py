"""The options of the readers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vlmkit.api import Reader, ReaderSpec

__all__ = ["DecordSpec"]


class DecordSpec(ReaderSpec):
    """Files of any container that FFmpeg knows, exact to the frame.

    MP4, MOV, MKV and WebM are read by decord, which jumps to the wanted frames. Where it jumps to wrong frames or
    fails, PyAV decodes in order, which takes longer for long videos: other containers (AVI, GIF, MPEG-TS, WMV, …), AV1,
    files whose edit list leaves frames out, that do not begin with a key frame, or in which pictures before a key frame
    need it (x265's default). Frames that an edit list leaves out, or that lack the key frame they need, do not count.
    Pictures are turned upright where the file asks for quarter turns.
    """

    type: Literal["decord"] = "decord"
    threads: Annotated[int, Field(gt=0, le=1024)] = 1
    """Decoding threads per video."""

    def build(self) -> Reader:
        """The reader."""
        from ._reader import DecordReader

        return DecordReader(self.threads)
