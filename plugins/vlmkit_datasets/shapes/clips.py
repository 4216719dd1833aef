"""What a clip shows and what is asked about it, as plain data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .decks import Decks

__all__ = ["Clip", "Kind", "Mover", "Question"]


class Mover(NamedTuple):
    """A shape that moves in a straight line. Lengths in sides of the picture, times in parts of the clip (0 to 1)."""

    colour: str
    shape: str
    radius: float
    """Half its height, about."""
    centre: tuple[float, float]
    """x, y at the middle of the clip."""
    way: tuple[float, float]
    """x, y from its place at the beginning to its place at the end."""
    appears: float = 0.0
    """It is not seen before."""


class Question(NamedTuple):
    """A question with its one-word answer."""

    type: str
    question: str
    answer: str


@dataclass(frozen=True)
class Clip:
    """One video to be drawn."""

    name: str
    """Stem of its file, unique within a split."""
    movers: tuple[Mover, ...]
    """Later ones hide earlier ones."""
    questions: tuple[Question, ...]
    """All that may be asked in one conversation: no question gives away the answer of another."""
    tested: int
    """How many of them, from the first, the benchmark asks; these are balanced over the types too."""
    seed: tuple[int, ...]
    """Of its background and shades."""


class Kind(NamedTuple):
    """One kind of clips of a level."""

    name: str
    tested: int
    """As `Clip.tested`."""
    make: Callable[[Decks, np.random.Generator], tuple[tuple[Mover, ...], tuple[Question, ...]]]
