"""Choosing how a file is decoded."""

from __future__ import annotations

from pathlib import Path

from vlmkit.api import OpenVideo, Reader, UnreadableVideo

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
        if not _can_seek(_head(source)):
            return OrderedVideo.open(source, self.threads)
        try:
            return SeekingVideo.open(source, self.threads)
        except UnreadableVideo as error:
            try:
                return OrderedVideo.open(source, self.threads)
            except UnreadableVideo:
                raise error from None


def _head(source: str | Path | bytes) -> bytes:
    if isinstance(source, bytes):
        head = source[:16]
    else:
        try:
            with Path(source).open("rb") as file:
                head = file.read(16)
        except OSError as error:
            raise UnreadableVideo(f"{source}: {error.strerror or error}") from None
    if not head:
        raise UnreadableVideo(f"{'video' if isinstance(source, bytes) else source}: the file is empty")
    return head


def _can_seek(head: bytes) -> bool:
    return head[4:8] in _MP4_BOXES or head.startswith(_MATROSKA)
