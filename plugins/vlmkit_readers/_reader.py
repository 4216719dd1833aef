"""Choosing how a file is decoded."""

from __future__ import annotations

from contextlib import suppress
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import NamedTuple

from vlmkit.api import OpenVideo, Reader, UnreadableVideo

from ._exact import seeks_exactly
from ._mp4 import has_index
from ._ordered import OrderedVideo
from ._seeking import SeekingVideo

__all__ = ["DecordReader"]

_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
_MATROSKA = b"\x1a\x45\xdf\xa3"


class DecordReader(Reader):
    """decord where its seeking is exact, PyAV in order elsewhere."""

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads

    def open(self, source: str | Path | bytes) -> OpenVideo:
        """Open a file by path, or the bytes of one."""
        look = _look(source)
        if look.seeks and look.whole and seeks_exactly(source):
            with suppress(UnreadableVideo):
                return SeekingVideo.open(source, self.threads)
        try:
            return OrderedVideo.open(source, self.threads)
        except UnreadableVideo:
            if look.whole:
                raise
            name = "video" if isinstance(source, bytes) else source
            raise UnreadableVideo(f"{name}: its index (moov) is missing or cut off; the file is incomplete") from None


class _Look(NamedTuple):
    """What the first bytes say of a file."""

    seeks: bool
    """Whether decord finds the right frames in such a container."""
    whole: bool
    """False where the index of an MP4 is not there: decord complains on stderr, and rarely finds anything."""


def _look(source: str | Path | bytes) -> _Look:
    name = "video" if isinstance(source, bytes) else source
    try:
        with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            head, length = file.read(16), file.seek(0, SEEK_END)
            mp4 = head[4:8] in _MP4_BOXES
            whole = not mp4 or has_index(file, length)
    except OSError as error:
        raise UnreadableVideo(f"{name}: {error.strerror or error}") from None
    if not head:
        raise UnreadableVideo(f"{name}: the file is empty")
    return _Look(mp4 or head.startswith(_MATROSKA), whole)
