"""The clips of `moving-shapes` as plain data: shapes, colors, motions, questions, and the decks that keep them even.

The words of questions and answers are data: they are spelled "colour".
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, TypeVar

import numpy as np

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
]

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
    """How many of them, from the first, the benchmark asks; these are balanced over the types too."""
    seed: tuple[int, ...]
    """Of its background and shades."""


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
