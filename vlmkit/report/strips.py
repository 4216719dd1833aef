"""Frame strips: a video as the frames that the model looks at, small enough to live inside the page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, NamedTuple

from vlmkit.data import frame_positions
from vlmkit.errors import DataError
from vlmkit.evaluation import select
from vlmkit.spec import ExperimentSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["FRAMES", "SIDE", "Frame", "Strips"]

FRAMES = 8
"""Most frames per strip."""
SIDE = 160
"""Longest side of a frame, pixels. Smaller ones stay as they are."""


class Frame(NamedTuple):
    """One frame of a strip."""

    seconds: float
    """When it is shown."""
    uri: str
    """The JPEG as a data URI."""


class Strips:
    """Reads the videos of one benchmark with the reader and the sampling rule of a spec."""

    def __init__(self, spec: ExperimentSpec, result: str) -> None:
        """Find the videos of the result of this name. A `DataError` where the spec has none, or its files are gone."""
        uses = spec.evaluation.benchmarks if spec.evaluation else []
        use = next((use for use in uses if use.result_name == result), None)
        if use is None:
            raise DataError(f"the spec has no benchmark {result} any more, so its videos are not known")
        selection = select(use)
        self._files, self._missing = selection.videos, selection.missing
        self._reader = spec.data.reader.build()
        self._input = spec.model.aligner.input

    def read(self, name: str) -> list[Frame]:
        """The frames of the video of this name. A `DataError` where there is none, or it cannot be decoded."""
        if name not in self._files:
            raise DataError(self._missing.get(name, f"the benchmark has no video {name}"))
        video = self._reader.open(self._files[name])
        looked_at = frame_positions(self._input.sampling, video.num_frames, video.fps, self._input.frames)
        positions = _thin(sorted(set(looked_at)))
        seconds = [position / video.fps if video.fps else 0.0 for position in positions]
        return [Frame(at, _jpeg(frame)) for at, frame in zip(seconds, video.frames(positions), strict=True)]


def _thin(positions: list[int]) -> list[int]:
    count = min(FRAMES, len(positions))
    return [positions[i * len(positions) // count] for i in range(count)]


def _jpeg(frame: npt.NDArray[np.uint8]) -> str:
    from PIL import Image

    image = Image.fromarray(frame)
    image.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=72, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
