"""Draw clips with numpy and write them as H.264. Shape letters: T frames, S pixels per side.

`python -m vlmkit_datasets._drawing OPTIONS FOLDER START STEP` draws one share of the clips, in a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vlmkit_datasets._clips import COLORS, Clip, Mover
from vlmkit_datasets._levels import plan_clips

__all__ = ["draw", "draw_missing", "write_video"]

Floats = npt.NDArray[np.float32]

_SHADE = 12
"""How much a color varies from clip to clip, levels of 255."""
_ENCODER = {"preset": "veryfast", "crf": "16", "threads": "1", "bf": "0"}


def draw_missing(options: Mapping[str, Any], folder: Path, start: int, step: int) -> None:
    """Draw each clip of a share (every `step`-th from `start`) whose file is missing in the folder."""
    clips = plan_clips(*(options[name] for name in ("level", "split", "clips", "seed")))
    for clip in clips[start::step]:
        path = folder / f"{clip.name}.mp4"
        if not path.is_file():
            write_video(path, draw(clip, options["size"], options["frames"]), options["fps"])


def write_video(path: Path, frames: npt.NDArray[np.uint8], fps: int) -> None:
    """Write (T, H, W, 3) RGB as MP4 (libx264, yuv420p). The file appears when it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    height, width = frames.shape[1:3]
    with av.open(str(unfinished), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options=_ENCODER)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    unfinished.replace(path)


def draw(clip: Clip, size: int, frames: int) -> npt.NDArray[np.uint8]:
    """Return (T, S, S, 3) RGB."""
    rng = np.random.default_rng(clip.seed)
    canvas = np.repeat(_background(size, rng)[None], frames, axis=0)
    times = np.linspace(0, 1, frames, dtype=np.float32)
    for mover in clip.movers:
        color = np.asarray(COLORS[mover.color], np.float32) + rng.uniform(-_SHADE, _SHADE, 3).astype(np.float32)
        cover = _cover(mover, times, size)[..., None]
        canvas += cover * (color - canvas)
    return np.clip(canvas + 0.5, 0, 255).astype(np.uint8)


def _cover(mover: Mover, times: Floats, size: int) -> Floats:
    """(T, S, S): how much of each pixel the shape covers, 0 to 1; its edge is blurred over one pixel."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    steps = (times - 0.5)[:, None, None]
    x = axis[None, None, :] - (np.float32(mover.center[0]) + steps * np.float32(mover.path[0]))
    y = axis[None, :, None] - (np.float32(mover.center[1]) + steps * np.float32(mover.path[1]))
    outside = _DISTANCES[mover.shape](x, y, np.float32(mover.radius))
    cover: Floats = np.clip(0.5 - outside * size, 0, 1)
    cover[times < mover.appears] = 0
    return cover


def _circle(x: Floats, y: Floats, radius: np.float32) -> Floats:
    return np.asarray(np.sqrt(x * x + y * y) - radius)


def _square(x: Floats, y: Floats, radius: np.float32) -> Floats:
    return np.asarray(np.maximum(np.abs(x), np.abs(y)) - np.float32(0.9) * radius)


def _triangle(x: Floats, y: Floats, radius: np.float32) -> Floats:
    """Point up, as high as wide."""
    flank = (np.abs(x) * 2 - (y + radius)) * np.float32(1 / np.sqrt(5))
    return np.maximum(flank, y - radius)


_DISTANCES = {"circle": _circle, "square": _square, "triangle": _triangle}


def _background(size: int, rng: np.random.Generator) -> Floats:
    """(S, S, 3): one of several textures, pale enough that every color stands out."""
    base = rng.uniform(70, 150) + rng.uniform(-15, 15, 3)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](size, rng)
    contrast = rng.uniform(15, 30) + rng.uniform(-6, 6, 3)
    grain = rng.normal(0, 3, (size, size, 1))
    return np.asarray(base + texture[..., None] * contrast + grain, np.float32)


def _waves(size: int, rng: np.random.Generator) -> Floats:
    angle, length, phase = rng.uniform(0, np.pi), rng.uniform(0.1, 0.4), rng.uniform(0, 2 * np.pi)
    axis = np.arange(size) / size
    along = axis[None, :] * np.cos(angle) + axis[:, None] * np.sin(angle)
    return np.asarray(np.sin(2 * np.pi * along / length + phase), np.float32)


def _tiles(size: int, rng: np.random.Generator) -> Floats:
    tile = rng.integers(size // 16, size // 5)
    shift = rng.integers(0, 2 * tile, 2)
    rows, columns = (np.arange(size) + shift[0]) // tile, (np.arange(size) + shift[1]) // tile
    return np.asarray((rows[:, None] + columns) % 2 * 2 - 1, np.float32)


def _clouds(size: int, rng: np.random.Generator) -> Floats:
    cells = int(rng.integers(3, 9))
    knots = rng.uniform(-1, 1, (cells + 1, cells + 1))
    at = np.arange(size) * cells / size
    low = at.astype(int)
    part = at - low
    rows = knots[low] * (1 - part)[:, None] + knots[low + 1] * part[:, None]
    return np.asarray(rows[:, low] * (1 - part) + rows[:, low + 1] * part, np.float32)


_TEXTURES = (_waves, _tiles, _clouds)


if __name__ == "__main__":
    draw_missing(json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
