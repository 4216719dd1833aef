"""The level `simple`: questions that can be answered without telling shapes apart by their looks."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from .clips import Kind, Mover, Question
from .decks import Decks
from .words import DIRECTIONS, NUMBERS, SPEEDS

__all__ = ["SIMPLE"]

Made = tuple[tuple[Mover, ...], tuple[Question, ...]]

_EDGE = 0.14
"""How near to the edge of the picture the centre of a lone shape comes, in sides of the picture."""
_QUARTERS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
_HALVES = (((0.27, 0.5), (0.73, 0.5)), ((0.5, 0.27), (0.5, 0.73)))


def _lone(decks: Decks, rng: np.random.Generator) -> tuple[tuple[Mover, ...], dict[str, Question]]:
    """One large shape that crosses the picture."""
    colour, shape = decks.deal("pair", decks.even_pairs)
    direction, speed = decks.deal("motion", tuple(product(DIRECTIONS, SPEEDS)))
    length = rng.uniform(*SPEEDS[speed])
    along = rng.uniform(_EDGE + length / 2, 1 - _EDGE - length / 2)
    across = rng.uniform(0.24, 0.76)
    x, y = DIRECTIONS[direction]
    centre = (along, across) if x else (across, along)
    mover = Mover(colour, shape, rng.uniform(0.18, 0.23), centre, (x * length, y * length))
    asked = (
        Question("colour", "What colour is the shape?", colour),
        Question("shape", "Which shape is it?", shape),
        Question("direction", "Which way does it move?", direction),
        Question("speed", "At which speed does it move?", speed),
    )
    return (mover,), {question.type: question for question in asked}


def _look(decks: Decks, rng: np.random.Generator) -> Made:
    movers, asked = _lone(decks, rng)
    return movers, tuple(asked[kind] for kind in ("colour", "direction", "shape", "speed"))


def _form(decks: Decks, rng: np.random.Generator) -> Made:
    movers, asked = _lone(decks, rng)
    return movers, tuple(asked[kind] for kind in ("shape", "speed", "colour", "direction"))


def _count(decks: Decks, rng: np.random.Generator) -> Made:
    """Small shapes that drift, each in its quarter of the picture."""
    number = decks.deal("number", NUMBERS)
    movers = []
    for quarter in rng.permutation(len(_QUARTERS))[: NUMBERS[number]]:
        colour, shape = decks.deal("pair", decks.even_pairs)
        movers.append(_drifting(colour, shape, _QUARTERS[quarter], rng.uniform(0.12, 0.145), rng))
    return tuple(movers), (Question("count", "How many shapes are there?", number),)


def _order(decks: Decks, rng: np.random.Generator) -> tuple[tuple[Mover, ...], dict[str, Question]]:
    """A shape that is there from early on, and another that appears about the middle."""
    first, last = decks.deal("colours", tuple(permutations(dict.fromkeys(colour for colour, _ in decks.pairs), 2)))
    places = _HALVES[rng.integers(2)]
    movers = []
    for colour, place, when in zip((first, last), rng.permutation(2), ((0.0, 0.1), (0.42, 0.62)), strict=True):
        shapes = [shape for other, shape in decks.pairs if other == colour]
        mover = _drifting(colour, shapes[rng.integers(len(shapes))], places[place], rng.uniform(0.14, 0.17), rng)
        movers.append(mover._replace(appears=rng.uniform(*when)))
    questions = {
        "first": Question("order", "Which colour appears first?", first),
        "last": Question("order", "Which colour appears last?", last),
    }
    return tuple(movers), questions


def _order_first(decks: Decks, rng: np.random.Generator) -> Made:
    movers, asked = _order(decks, rng)
    return movers, (asked["first"], asked["last"])


def _order_last(decks: Decks, rng: np.random.Generator) -> Made:
    movers, asked = _order(decks, rng)
    return movers, (asked["last"], asked["first"])


def _drifting(colour: str, shape: str, near: tuple[float, float], radius: float, rng: np.random.Generator) -> Mover:
    x, y = near + rng.uniform(-0.06, 0.06, 2)
    dx, dy = rng.uniform(-0.08, 0.08, 2)
    return Mover(colour, shape, radius, (x, y), (dx, dy))


_CYCLE = ("look", "count", "form", "order-first", "look", "count", "form", "order-last")
_KINDS = {
    "look": Kind("look", 2, _look),
    "form": Kind("form", 2, _form),
    "count": Kind("count", 1, _count),
    "order-first": Kind("order-first", 1, _order_first),
    "order-last": Kind("order-last", 1, _order_last),
}
SIMPLE = tuple(_KINDS[name] for name in _CYCLE)
"""The kinds of clips in the order in which they follow each other: all six types are tested equally often."""
