"""The options of the readers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from vlmkit.api import Reader, ReaderSpec

__all__ = ["DecordSpec"]


class DecordSpec(ReaderSpec):
    """Files of any container that FFmpeg knows, exact to the frame.

    MP4, MOV, MKV and WebM with H.264, HEVC, VP8, VP9, MPEG-4 or single pictures (MJPEG, ProRes, …) are read by decord,
    which jumps to the wanted frames. Where it would jump to wrong frames, wait for ever or fail, PyAV decodes in order,
    which takes longer for long videos: other containers (AVI, GIF, MPEG-TS, WMV, …) and codecs (AV1, MPEG-2, …);
    mirrored pictures; and files whose edit list leaves frames out, that do not begin with a key frame, whose index has
    other key frames than their packets, in which pictures before a key frame need it (x265's default) or packets hold
    no picture.

    Frames that an edit list leaves out, that lack the key frame they need, or are never shown do not count. Pictures
    are turned and mirrored upright where the file asks for it. Pixels that are not square (DVD, DV) are left as they
    are stored, as the reference pipelines do: such pictures look squeezed, as their aspect ratio is not corrected.

    A video is one regular file, and nothing in it makes another file or address be opened: playlists are refused. So
    are songs with a cover, files that lack more than a tenth of what their header announces, frames of more than 33
    million pixels (7680x4320), and frames that could only be had by decoding for hours.
    """

    type: Literal["decord"] = "decord"
    threads: Annotated[int, Field(gt=0, le=1024)] = 1
    """Decoding threads per video."""

    def build(self) -> Reader:
        """Return the reader."""
        from vlmkit_readers._module import DecordReader

        return DecordReader(self.threads)
