"""Small clips whose frames are numbered by their brightness."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

FRAMES, STEP = 60, 4


@pytest.fixture
def numbered() -> Callable[..., Path]:
    """Writes a clip of 60 frames."""

    def write(path: Path, codec: str = "libx264", movflags: str | None = None, **options: str) -> Path:
        with av.open(str(path), "w", options={"movflags": movflags} if movflags else {}) as container:
            stream: Any = container.add_stream(codec, rate=25, options=options)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
            for number in range(FRAMES):
                picture = np.full((64, 96, 3), STEP * number, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())
        return path

    return write


@pytest.fixture
def numbers() -> Callable[[np.ndarray[Any, Any]], list[int]]:
    """Reads the numbers of frames."""
    return lambda frames: [round(float(frame.mean()) / STEP) for frame in frames]


@pytest.fixture
def soon() -> Iterator[None]:
    """Fails a test that waits for longer than 20 seconds in Python, e.g. for a pipe."""

    def late(*_: object) -> None:
        raise TimeoutError("no end within 20 seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
