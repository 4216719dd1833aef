"""The level `scenes`: two or three shapes at once, and a question about one of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import product

import numpy as np

from .clips import Kind, Mover, Question
from .decks import Decks
from .words import DIRECTIONS, SEEN, SPEEDS, Pair

__all__ = ["SCENES"]

Made = tuple[tuple[Mover, ...], tuple[Question, ...]]
Motion = tuple[str, str]
"""Direction, speed."""

_MOTIONS = tuple(product(DIRECTIONS, SPEEDS))
_LENGTHS = {"slow": (0.14, 0.20), "fast": (0.42, 0.52)}
"""Way over the whole clip, in sides of the picture: less than that of a lone shape, for want of room."""
_EDGE = 0.13
_TRIES = 40


def _colour(decks: Decks, rng: np.random.Generator) -> Made:
    pair = decks.deal("pair", decks.pairs)
    colour, shape = pair
    others = _others(pair, [p for p in SEEN if p[1] != shape and p[0] != colour], decks, rng)
    return _scene([pair, *others], None, decks, rng), (Question("colour", f"What colour is the {shape}?", colour),)


def _shape(decks: Decks, rng: np.random.Generator) -> Made:
    pair = decks.deal("pair", decks.even_pairs)
    colour, shape = pair
    others = _others(pair, [p for p in SEEN if p[0] != colour and p[1] != shape], decks, rng)
    return _scene([pair, *others], None, decks, rng), (Question("shape", f"Which shape is {colour}?", shape),)


def _direction(decks: Decks, rng: np.random.Generator) -> Made:
    pair, direction = decks.deal("asked", tuple(product(decks.pairs, DIRECTIONS)))
    return _motions(pair, (direction, decks.deal("speed", SPEEDS)), ("direction", "speed"), decks, rng)


def _speed(decks: Decks, rng: np.random.Generator) -> Made:
    pair, speed = decks.deal("asked", tuple(product(decks.pairs, SPEEDS)))
    return _motions(pair, (decks.deal("direction", DIRECTIONS), speed), ("speed", "direction"), decks, rng)


def _motions(pair: Pair, motion: Motion, types: Sequence[str], decks: Decks, rng: np.random.Generator) -> Made:
    """Each shape is asked about, unless the pairs are held out: then only the shape of such a pair."""
    pairs = [pair, *_others(pair, [p for p in SEEN if p != pair], decks, rng)]
    motions = [motion, *(decks.deal("motion", _MOTIONS) for _ in pairs[1:])]
    asked = [
        question
        for (colour, shape), (direction, speed) in zip(pairs, motions, strict=True)
        for question in _about(colour, shape, direction, speed, types)
        if (colour, shape) in decks.pairs
    ]
    return _scene(pairs, motions, decks, rng), tuple(asked)


def _about(colour: str, shape: str, direction: str, speed: str, types: Sequence[str]) -> list[Question]:
    questions = {
        "direction": Question("direction", f"Which way does the {colour} {shape} move?", direction),
        "speed": Question("speed", f"At which speed does the {colour} {shape} move?", speed),
    }
    return [questions[kind] for kind in types]


def _others(pair: Pair, allowed: Sequence[Pair], decks: Decks, rng: np.random.Generator) -> list[Pair]:
    """One or two other pairs; where the question names colour and shape, one of them shares one of the two."""
    count = decks.deal("others", (1, 2))
    twins = [p for p in allowed if p[0] == pair[0] or p[1] == pair[1]]
    chosen = [_pick(twins or allowed, rng)]
    if count == 2:
        chosen.append(_pick([p for p in allowed if p != chosen[0]], rng))
    return chosen


def _pick(pairs: Sequence[Pair], rng: np.random.Generator) -> Pair:
    return pairs[int(rng.integers(len(pairs)))]


def _scene(
    pairs: Sequence[Pair], motions: Sequence[Motion] | None, decks: Decks, rng: np.random.Generator
) -> tuple[Mover, ...]:
    """Place the shapes, with as little overlap as a number of tries finds."""
    chosen = motions or [decks.deal("motion", _MOTIONS) for _ in pairs]
    layouts: list[tuple[float, list[Mover]]] = []
    for _ in range(_TRIES):
        movers = [_placed(pair, motion, rng) for pair, motion in zip(pairs, chosen, strict=True)]
        layouts.append((_gap(movers), movers))
        if layouts[-1][0] > 0:
            break
    _, best = max(layouts, key=lambda layout: layout[0])
    return tuple(best[i] for i in rng.permutation(len(best)))


def _placed(pair: Pair, motion: Motion, rng: np.random.Generator) -> Mover:
    direction, speed = motion
    x, y = DIRECTIONS[direction]
    length = rng.uniform(*_LENGTHS[speed])
    along = rng.uniform(_EDGE + length / 2, 1 - _EDGE - length / 2)
    across = rng.uniform(_EDGE, 1 - _EDGE)
    return Mover(*pair, rng.uniform(0.12, 0.15), (along, across) if x else (across, along), (x * length, y * length))


def _gap(movers: Collection[Mover]) -> float:
    """The smallest distance between two shapes at any time, in sides of the picture; negative where they overlap."""
    times = np.linspace(-0.5, 0.5, 9)[:, None, None]
    places = np.array([m.centre for m in movers]) + times * np.array([m.way for m in movers])
    apart = np.abs(places[:, :, None] - places[:, None]).max(-1)
    radii = np.array([m.radius for m in movers])
    gaps = apart - (radii[:, None] + radii)
    return float(gaps[:, ~np.eye(len(radii), dtype=bool)].min())


SCENES = (
    Kind("colour", 1, _colour),
    Kind("direction", 1, _direction),
    Kind("shape", 1, _shape),
    Kind("speed", 1, _speed),
)
"""The kinds of clips in the order in which they follow each other."""
