"""The clips of `moving-shapes`: shapes, colors, motions, questions, the decks that keep them even, and the pictures.

The words of questions and answers are data: they are spelled "colour". Shape letters: T frames, S pixels per side.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import av
import numpy as np
import numpy.typing as npt

__all__ = [
    "COLORS",
    "DIRECTIONS",
    "HELD_OUT",
    "NUMBERS",
    "SEEN",
    "SHAPES",
    "SPEEDS",
    "Clip",
    "ClipKind",
    "ClipQuestion",
    "Content",
    "Decks",
    "Mover",
    "Pair",
    "draw",
    "write_video",
]

Floats = npt.NDArray[np.float32]
Pair = tuple[str, str]
"""Color, shape."""

COLORS = {
    "red": (220, 40, 40),
    "green": (40, 175, 60),
    "blue": (45, 75, 230),
    "yellow": (240, 220, 40),
    "purple": (185, 50, 205),
    "white": (245, 245, 245),
}
"""RGB; each clip varies them a little."""
SHAPES = ("circle", "square", "triangle")
DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Unit steps in the picture, x to the right and y down."""
SPEEDS = {"slow": (0.28, 0.34), "fast": (0.60, 0.70)}
"""Length of the path over the whole clip, in sides of the picture."""
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}

HELD_OUT: tuple[Pair, ...] = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
"""Only in the split `compositional`."""
SEEN: tuple[Pair, ...] = tuple(pair for pair in product(COLORS, SHAPES) if pair not in HELD_OUT)
"""In all other splits."""
_PARTLY_HELD = {color for color, _ in HELD_OUT}
_SEEN_EVENLY: tuple[Pair, ...] = tuple(pair for pair in SEEN for _ in range(3 if pair[0] in _PARTLY_HELD else 2))
"""`SEEN` with repeats that make all colors equally frequent, and all shapes, also among the shapes of any color."""


class Mover(NamedTuple):
    """A shape that moves in a straight line. Lengths in sides of the picture, times in parts of the clip (0 to 1)."""

    color: str
    shape: str
    radius: float
    """Half its height, about."""
    center: tuple[float, float]
    """x, y at the middle of the clip."""
    path: tuple[float, float]
    """x, y from its place at the beginning to its place at the end."""
    appears: float = 0.0
    """It is not seen before."""


class ClipQuestion(NamedTuple):
    """A question with its one-word answer."""

    type: str
    question: str
    answer: str


Content = tuple[tuple[Mover, ...], tuple[ClipQuestion, ...]]


@dataclass(frozen=True)
class Clip:
    """One video to be drawn."""

    name: str
    """Stem of its file, unique within a split."""
    movers: tuple[Mover, ...]
    """Later ones hide earlier ones."""
    questions: tuple[ClipQuestion, ...]
    """All that may be asked in one conversation: no question gives away the answer of another."""
    tested: int
    """Number of them, from the first, that the benchmark asks; these are balanced over the types too."""
    seed: tuple[int, ...]
    """Seed of its background and shades."""


T = TypeVar("T")


class Decks:
    """Shuffled decks of one kind of clips, from which values are dealt: random in order, exactly even in number.

    A deck is shuffled anew each time it is used up.
    """

    def __init__(self, seed: tuple[int, ...], held_out: bool) -> None:
        self._rng = np.random.default_rng(seed)
        self._left: dict[str, list[Any]] = {}
        self.pairs: tuple[Pair, ...] = HELD_OUT if held_out else SEEN
        """Pairs of color and shape that may be asked about."""
        self.even_pairs: tuple[Pair, ...] = HELD_OUT if held_out else _SEEN_EVENLY
        """The same with repeats that make each color and each shape equally frequent."""

    def deal(self, deck: str, values: Collection[T]) -> T:
        """Return the next value of a deck, which holds each of `values` once."""
        left = self._left.get(deck)
        if not left:
            cards = list(values)
            left = self._left[deck] = [cards[i] for i in self._rng.permutation(len(cards))]
        value: T = left.pop()
        return value


class ClipKind(NamedTuple):
    """One kind of clips of a level."""

    name: str
    tested: int
    """As `Clip.tested`."""
    make: Callable[[Decks, np.random.Generator], Content]


_SHADE = 12
"""The most by which a color varies from clip to clip, levels of 255."""
_ENCODER = {"preset": "veryfast", "crf": "16", "threads": "1", "bf": "0"}


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
