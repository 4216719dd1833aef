"""What there is in the world of the moving shapes, and how one asks about it."""

from __future__ import annotations

from itertools import product

__all__ = [
    "COLOURS",
    "DIRECTIONS",
    "HELD_OUT",
    "NUMBERS",
    "SEEN",
    "SEEN_EVENLY",
    "SHAPES",
    "SPEEDS",
    "Pair",
]

Pair = tuple[str, str]
"""Colour, shape."""

COLOURS = {
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
"""Way over the whole clip, in sides of the picture."""
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}

HELD_OUT: tuple[Pair, ...] = (("red", "circle"), ("blue", "square"), ("green", "triangle"))
"""Only in the split `compositional`."""
SEEN: tuple[Pair, ...] = tuple(pair for pair in product(COLOURS, SHAPES) if pair not in HELD_OUT)
"""In all other splits."""
_PARTLY_HELD = {colour for colour, _ in HELD_OUT}
SEEN_EVENLY: tuple[Pair, ...] = tuple(pair for pair in SEEN for _ in range(3 if pair[0] in _PARTLY_HELD else 2))
"""`SEEN` with repeats that make all colours equally frequent, and all shapes, also among the shapes of any colour."""
