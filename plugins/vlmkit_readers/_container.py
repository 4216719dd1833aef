"""Opening a file with PyAV, which may read this one file and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
from av.stream import Disposition

from vlmkit.api import UnreadableVideo

from ._source import open_file

__all__ = ["ERRORS", "MOST_PIXELS", "formats_of", "open_container", "reason", "video_stream"]

ERRORS = (av.FFmpegError, OSError, ValueError, MemoryError, OverflowError)
"""What PyAV raises for a bad file."""
MOST_PIXELS = 1 << 25
"""Pixels of a frame: a little more than 7680x4320. Headers of damaged files claim what no machine has memory for."""
_FORMATS = (
    "aac,apng,asf,av1,avi,bmp_pipe,cavsvideo,dhav,dirac,dv,flac,flic,flv,gif,h261,h263,h264,hevc,ivf,jpeg_pipe,kux,"
    "live_flv,m4v,matroska,mjpeg,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nsv,nut,nuv,obu,ogg,png_pipe,rm,roq,swf,tiff_pipe,vc1,"
    "vivo,vvc,wav,webp_pipe,wtv,yuv4mpegpipe"
)
"""FFmpeg's names of formats that hold videos, or sound alone. Not among them are those that name other files or
addresses (playlists: `concat`, `hls`, `dash`, `sdp`; drawings), and those that take any text for a video (`tty`)."""
_OPTIONS = {"format_whitelist": _FORMATS, "protocol_whitelist": "crypto", "max_pixels": str(MOST_PIXELS)}
"""Of protocols, FFmpeg gets one that opens nothing by itself."""
_BUFFER = 1 << 20
"""Bytes that FFmpeg reads at once."""


@contextmanager
def open_container(source: str | Path | bytes) -> Iterator[Any]:
    """Open the container at a path or in bytes. Its texts may be in any encoding."""
    with ExitStack() as stack:
        file = stack.enter_context(open_file(source))
        try:
            container = av.open(file, options=_OPTIONS, buffer_size=_BUFFER, metadata_errors="replace")
        except av.ArgumentError:  # what FFmpeg says of a format that is not on the list
            raise UnreadableVideo("its format is none that is read here: a playlist or drawing is no video") from None
        yield stack.enter_context(container)


def formats_of(container: Any) -> frozenset[str]:
    """Return FFmpeg's names of the container's format."""
    return frozenset(container.format.name.split(","))


def video_stream(container: Any) -> Any:
    """Return its main video. The cover of a song is none.

    Raises:
        UnreadableVideo: there is none, no decoder for it, or its frames are too big.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    best = container.streams.best("video")
    stream = best if best in streams else next(iter(streams), None)
    if stream is None or stream.codec_context is None:
        raise UnreadableVideo("no video stream")
    context = stream.codec_context
    if context.width * context.height > MOST_PIXELS:
        found = f"{context.width}x{context.height} pixels"
        raise UnreadableVideo(f"expected frames of at most {MOST_PIXELS} pixels, found {found}")
    context.options = {**context.options, "max_pixels": str(MOST_PIXELS)}  # a frame may be bigger than the header says
    return stream


def reason(error: BaseException) -> str:
    """Return what an error says, without number and file."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
