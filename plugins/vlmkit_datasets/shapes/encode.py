"""Writing frames as an H.264 file."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

__all__ = ["write_video"]

_OPTIONS = {"preset": "veryfast", "crf": "16", "threads": "1", "bf": "0"}


def write_video(path: Path, frames: npt.NDArray[np.uint8], fps: int) -> None:
    """Write (T, H, W, 3) RGB as MP4 (libx264, yuv420p). The file appears when it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    height, width = frames.shape[1:3]
    with av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=_OPTIONS)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    unfinished.replace(path)
