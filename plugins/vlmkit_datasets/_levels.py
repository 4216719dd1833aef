"""The plan of a split of `moving-shapes`: what its clips show and ask, by level.

Level `simple` asks about a lone shape, a number of shapes or the order in which two appear; level `scenes` about one of
two or three shapes. Answers are dealt from shuffled decks, so that each comes equally often.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from itertools import cycle, islice, permutations, product

import numpy as np

from vlmkit_datasets._clips import (
    DIRECTIONS,
    NUMBERS,
    SEEN,
    SPEEDS,
    Clip,
    ClipKind,
    ClipQuestion,
    Content,
    Decks,
    Mover,
    Pair,
)

__all__ = ["plan_clips"]

Motion = tuple[str, str]
"""Direction, speed."""

_SPLITS = ("train", "val", "test", "compositional")
_MOTIONS = tuple(product(DIRECTIONS, SPEEDS))
_LONE_EDGE, _SCENE_EDGE = 0.14, 0.13
"""Smallest distance of the center of a shape from the edge of the picture, in sides of the picture."""
_QUARTERS = ((0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75))
_HALVES = (((0.27, 0.5), (0.73, 0.5)), ((0.5, 0.27), (0.5, 0.73)))
_SCENE_SPEEDS = {"slow": (0.14, 0.20), "fast": (0.42, 0.52)}
"""Length of the path over the whole clip, in sides of the picture: less than that of a lone shape, for want of room."""
_TRIES = 40
"""Placements of the shapes of a scene, of which the one with the least overlap is taken."""


def plan_clips(level: str, split: str, clips: int, seed: int) -> list[Clip]:
    """Return the first `clips` clips of a split. The kinds of clips follow each other, each with decks of its own."""
    kinds = _LEVELS[level]
    root = (seed, list(_LEVELS).index(level), _SPLITS.index(split))
    names = dict.fromkeys(kind.name for kind in kinds)
    decks = {name: Decks((*root, 0, i), split == "compositional") for i, name in enumerate(names)}
    made = []
    for index, kind in enumerate(islice(cycle(kinds), clips)):
        movers, questions = kind.make(decks[kind.name], np.random.default_rng((*root, 1, index)))
        made.append(Clip(f"{index:06d}", movers, questions, kind.tested, (*root, 2, index)))
    return made


def _crossing(
    pair: Pair,
    motion: Motion,
    lengths: tuple[float, float],
    edge: float,
    sides: tuple[float, float],
    radii: tuple[float, float],
    rng: np.random.Generator,
) -> Mover:
    """Return a shape that moves along an axis: its path of a length, within the edge, between two sides of it."""
    x, y = DIRECTIONS[motion[0]]
    length = rng.uniform(*lengths)
    along = rng.uniform(edge + length / 2, 1 - edge - length / 2)
    across = rng.uniform(*sides)
    return Mover(*pair, rng.uniform(*radii), (along, across) if x else (across, along), (x * length, y * length))


def _drifting(pair: Pair, near: tuple[float, float], radius: float, rng: np.random.Generator) -> Mover:
    x, y = near + rng.uniform(-0.06, 0.06, 2)
    dx, dy = rng.uniform(-0.08, 0.08, 2)
    return Mover(*pair, radius, (x, y), (dx, dy))


def _lone(decks: Decks, rng: np.random.Generator, types: Sequence[str]) -> Content:
    """One large shape that crosses the picture."""
    color, shape = decks.deal("pair", decks.even_pairs)
    direction, speed = decks.deal("motion", _MOTIONS)
    mover = _crossing((color, shape), (direction, speed), SPEEDS[speed], _LONE_EDGE, (0.24, 0.76), (0.18, 0.23), rng)
    asked = {
        "colour": ClipQuestion("colour", "What colour is the shape?", color),
        "shape": ClipQuestion("shape", "Which shape is it?", shape),
        "direction": ClipQuestion("direction", "Which way does it move?", direction),
        "speed": ClipQuestion("speed", "At which speed does it move?", speed),
    }
    return (mover,), tuple(asked[name] for name in types)


def _count(decks: Decks, rng: np.random.Generator) -> Content:
    """Small shapes that drift, each in its quarter of the picture."""
    number = decks.deal("number", NUMBERS)
    movers = []
    for quarter in rng.permutation(len(_QUARTERS))[: NUMBERS[number]]:
        pair = decks.deal("pair", decks.even_pairs)
        movers.append(_drifting(pair, _QUARTERS[quarter], rng.uniform(0.12, 0.145), rng))
    return tuple(movers), (ClipQuestion("count", "How many shapes are there?", number),)


def _order(decks: Decks, rng: np.random.Generator, last_first: bool = False) -> Content:
    """A shape that is there from early on, and another that appears about the middle."""
    first, last = decks.deal("colors", tuple(permutations(dict.fromkeys(color for color, _ in decks.pairs), 2)))
    places = _HALVES[rng.integers(2)]
    movers = []
    for color, place, when in zip((first, last), rng.permutation(2), ((0.0, 0.1), (0.42, 0.62)), strict=True):
        shapes = [shape for other, shape in decks.pairs if other == color]
        pair = color, shapes[rng.integers(len(shapes))]
        mover = _drifting(pair, places[place], rng.uniform(0.14, 0.17), rng)
        movers.append(mover._replace(appears=rng.uniform(*when)))
    questions = (
        ClipQuestion("order", "Which colour appears first?", first),
        ClipQuestion("order", "Which colour appears last?", last),
    )
    return tuple(movers), questions[::-1] if last_first else questions


_LOOK = ClipKind("look", 2, partial(_lone, types=("colour", "direction", "shape", "speed")))
_FORM = ClipKind("form", 2, partial(_lone, types=("shape", "speed", "colour", "direction")))
_COUNT = ClipKind("count", 1, _count)
_ORDERS = ClipKind("order-first", 1, _order), ClipKind("order-last", 1, partial(_order, last_first=True))
_SIMPLE = tuple(kind for order in _ORDERS for kind in (_LOOK, _COUNT, _FORM, order))
"""The kinds of clips in the order in which they follow each other: all six types are tested equally often."""


def _scene_color(decks: Decks, rng: np.random.Generator) -> Content:
    pair = decks.deal("pair", decks.pairs)
    return _scene_look(pair, decks, rng), (ClipQuestion("colour", f"What colour is the {pair[1]}?", pair[0]),)


def _scene_shape(decks: Decks, rng: np.random.Generator) -> Content:
    pair = decks.deal("pair", decks.even_pairs)
    return _scene_look(pair, decks, rng), (ClipQuestion("shape", f"Which shape is {pair[0]}?", pair[1]),)


def _scene_look(pair: Pair, decks: Decks, rng: np.random.Generator) -> tuple[Mover, ...]:
    """The shape of a pair among others that share neither its color nor its shape."""
    pairs = [pair, *_others(pair, [p for p in SEEN if p[0] != pair[0] and p[1] != pair[1]], decks, rng)]
    return _scene(pairs, [decks.deal("motion", _MOTIONS) for _ in pairs], rng)


def _scene_direction(decks: Decks, rng: np.random.Generator) -> Content:
    pair, direction = decks.deal("asked", tuple(product(decks.pairs, DIRECTIONS)))
    return _scene_motion(pair, (direction, decks.deal("speed", SPEEDS)), ("direction", "speed"), decks, rng)


def _scene_speed(decks: Decks, rng: np.random.Generator) -> Content:
    pair, speed = decks.deal("asked", tuple(product(decks.pairs, SPEEDS)))
    return _scene_motion(pair, (decks.deal("direction", DIRECTIONS), speed), ("speed", "direction"), decks, rng)


def _scene_motion(pair: Pair, motion: Motion, types: Sequence[str], decks: Decks, rng: np.random.Generator) -> Content:
    """Each shape is asked about, unless the pairs are held out: then only the shape of such a pair."""
    pairs = [pair, *_others(pair, [p for p in SEEN if p != pair], decks, rng)]
    motions = [motion, *(decks.deal("motion", _MOTIONS) for _ in pairs[1:])]
    asked: list[ClipQuestion] = []
    for (color, shape), (direction, speed) in zip(pairs, motions, strict=True):
        questions = {
            "direction": ClipQuestion("direction", f"Which way does the {color} {shape} move?", direction),
            "speed": ClipQuestion("speed", f"At which speed does the {color} {shape} move?", speed),
        }
        asked += [questions[name] for name in types if (color, shape) in decks.pairs]
    return _scene(pairs, motions, rng), tuple(asked)


def _others(pair: Pair, allowed: Sequence[Pair], decks: Decks, rng: np.random.Generator) -> list[Pair]:
    """One or two other pairs; where the question names color and shape, one of them shares one of the two."""
    count = decks.deal("others", (1, 2))
    twins = [p for p in allowed if p[0] == pair[0] or p[1] == pair[1]]
    chosen = [_pick(twins or allowed, rng)]
    if count == 2:
        chosen.append(_pick([p for p in allowed if p != chosen[0]], rng))
    return chosen


def _pick(pairs: Sequence[Pair], rng: np.random.Generator) -> Pair:
    return pairs[int(rng.integers(len(pairs)))]


def _scene(pairs: Sequence[Pair], motions: Sequence[Motion], rng: np.random.Generator) -> tuple[Mover, ...]:
    """Place the shapes, with as little overlap as a number of tries finds."""
    edges = _SCENE_EDGE, 1 - _SCENE_EDGE
    layouts: list[tuple[float, list[Mover]]] = []
    for _ in range(_TRIES):
        movers = [
            _crossing(pair, motion, _SCENE_SPEEDS[motion[1]], _SCENE_EDGE, edges, (0.12, 0.15), rng)
            for pair, motion in zip(pairs, motions, strict=True)
        ]
        layouts.append((_gap(movers), movers))
        if layouts[-1][0] > 0:
            break
    _, best = max(layouts, key=lambda layout: layout[0])
    return tuple(best[i] for i in rng.permutation(len(best)))


def _gap(movers: Collection[Mover]) -> float:
    """The smallest distance between two shapes at any time, in sides of the picture; negative where they overlap."""
    times = np.linspace(-0.5, 0.5, 9)[:, None, None]
    places = np.array([m.center for m in movers]) + times * np.array([m.path for m in movers])
    apart = np.abs(places[:, :, None] - places[:, None]).max(-1)
    radii = np.array([m.radius for m in movers])
    gaps = apart - (radii[:, None] + radii)
    return float(gaps[:, ~np.eye(len(radii), dtype=bool)].min())


_SCENES = (
    ClipKind("color", 1, _scene_color),
    ClipKind("direction", 1, _scene_direction),
    ClipKind("shape", 1, _scene_shape),
    ClipKind("speed", 1, _scene_speed),
)
"""The kinds of clips in the order in which they follow each other."""
_LEVELS = {"simple": _SIMPLE, "scenes": _SCENES}
