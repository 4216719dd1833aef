"""Open a video file or bytes with PyAV, in a way that lets FFmpeg read this one file and nothing else."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.stream import Disposition

from vlmkit.api import UnreadableVideo, is_file

__all__ = ["AV_ERRORS", "display_name", "error_text", "open_container", "open_file", "video_stream"]

AV_ERRORS = (av.FFmpegError, OSError, ValueError, MemoryError, OverflowError)
"""Exceptions that PyAV raises for a bad file."""
_MAX_PIXELS = 1 << 25
"""Pixels of a frame: a little more than 7680x4320. Headers of damaged files claim what no machine has memory for."""
_FORMATS = (
    "aac,apng,asf,av1,avi,bmp_pipe,cavsvideo,dhav,dirac,dv,flac,flic,flv,gif,h261,h263,h264,hevc,ivf,jpeg_pipe,kux,"
    "live_flv,m4v,matroska,mjpeg,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,ogg,png_pipe,rm,roq,swf,tiff_pipe,vc1,"
    "vivo,vvc,wav,webp_pipe,wtv,yuv4mpegpipe"
)
"""FFmpeg's names of formats that hold videos, or sound alone. Not among them are those that name other files or
addresses (playlists: `concat`, `hls`, `dash`, `sdp`; drawings), and those that take any text for a video (`tty`)."""
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "crypto", "max_pixels": str(_MAX_PIXELS)}
"""FFmpeg gets one protocol, which opens nothing by itself."""
_BUFFER = 1 << 20
"""Bytes that FFmpeg reads at once."""


def open_file(source: str | Path | bytes) -> BinaryIO:
    """Open a path or bytes for reading, as a file without a name.

    FFmpeg would take a name for a protocol (`12:30.mp4`), for the pattern of a series of pictures (`clip%03d.png`) or
    for the folder of the files that a playlist lists.

    An UnreadableVideo where there is no such file, or no regular one: reading from a pipe or device may never end.
    """
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        path = Path(source)
        if not is_file(path) and path.exists():
            found = "directory" if path.is_dir() else "pipe or device"
            raise UnreadableVideo(f"{path}: expected a video file, found a {found}")
        return _NamelessFile(path.open("rb", buffering=0))
    except UnreadableVideo:
        raise
    except (OSError, ValueError) as error:
        raise UnreadableVideo(f"{display_name(source)}: {getattr(error, 'strerror', None) or error}") from None


class _NamelessFile(io.BufferedReader):
    name = ""


def display_name(source: str | Path | bytes) -> str:
    """Return the name of a video in messages; bytes of a path that are no text are escaped."""
    return "video" if isinstance(source, bytes) else str(source).encode(errors="backslashreplace").decode()


@contextmanager
def open_container(source: str | Path | bytes) -> Iterator[Any]:
    """Open the container at a path or in bytes. Its texts may be in any encoding."""
    with ExitStack() as stack:
        file = stack.enter_context(open_file(source))
        try:
            container = av.open(file, options=_OPTIONS, buffer_size=_BUFFER, metadata_errors="replace")
        except av.ArgumentError:  # FFmpeg's error for a format that is not on the list
            raise UnreadableVideo("its format is none that is read here: a playlist or drawing is no video") from None
        except av.InvalidDataError as error:
            raise UnreadableVideo(f"this is no video, or a damaged one: {error.strerror}") from None
        yield stack.enter_context(container)


def video_stream(container: Any) -> Any:
    """Return the main video stream. The cover picture of a song does not count.

    An UnreadableVideo where there is none, no decoder for it, or its frames are too big.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = best if best in streams else next(iter(streams), None)
    if stream is None or stream.codec_context is None:
        raise UnreadableVideo("no video stream")
    context = stream.codec_context
    if context.width * context.height > _MAX_PIXELS:
        found = f"{context.width}x{context.height} pixels"
        raise UnreadableVideo(f"expected frames of at most {_MAX_PIXELS} pixels, found {found}")
    context.options = {**context.options, "max_pixels": str(_MAX_PIXELS)}  # a frame may be bigger than the header says
    return stream


def error_text(error: BaseException) -> str:
    """Return the message of an error without its number and file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
