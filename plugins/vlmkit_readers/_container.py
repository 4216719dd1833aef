"""Opening a file with PyAV."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import av

from vlmkit.api import UnreadableVideo

__all__ = ["ERRORS", "name_of", "open_container", "video_stream"]

ERRORS = (av.FFmpegError, OSError, ValueError)
"""What PyAV raises for a bad file."""


def open_container(source: str | Path | bytes) -> Any:
    """The container at a path or in bytes, a context manager."""
    return av.open(io.BytesIO(source) if isinstance(source, bytes) else str(source))


def video_stream(container: Any) -> Any:
    """Its main video. `UnreadableVideo` where there is none."""
    stream = container.streams.best("video")
    if stream is None or stream.codec_context is None:
        raise UnreadableVideo("no video stream")
    return stream


def name_of(source: str | Path | bytes) -> str:
    """What messages call a file."""
    return "video" if isinstance(source, bytes) else str(source)
