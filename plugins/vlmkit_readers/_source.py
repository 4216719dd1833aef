"""What is read: a regular file, or bytes, without a name that FFmpeg would read its own way."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from vlmkit.api import UnreadableVideo, is_file

__all__ = ["name_of", "open_file"]


def open_file(source: str | Path | bytes) -> BinaryIO:
    """Open a path or bytes for reading.

    The file tells nobody its name. FFmpeg would take it for a protocol (`12:30.mp4`), for the pattern of a series of
    pictures (`clip%03d.png`) or for the folder of the files that a playlist names.

    Raises:
        UnreadableVideo: there is no such file, or it is no regular one: reading from a pipe or device may never end.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        path = Path(source)
        if not is_file(path) and path.exists():
            what = "directory" if path.is_dir() else "pipe or device"
            raise UnreadableVideo(f"{path}: expected a video file, found a {what}")
        return _Nameless(path.open("rb", buffering=0))
    except (OSError, ValueError) as error:
        if isinstance(error, UnreadableVideo):
            raise
        raise UnreadableVideo(f"{name_of(source)}: {getattr(error, 'strerror', None) or error}") from None


class _Nameless(io.BufferedReader):
    """A file of no name."""

    name = ""


def name_of(source: str | Path | bytes) -> str:
    """Return what messages call a video; bytes of a name that are no text are escaped."""
    return "video" if isinstance(source, bytes) else str(source).encode(errors="backslashreplace").decode()
