"""The clips of a split: what matters is dealt from shuffled decks, so that each answer comes equally often."""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np

from .clips import Clip
from .decks import Decks
from .scenes import SCENES
from .simple import SIMPLE

__all__ = ["plan"]

_LEVELS = {"simple": SIMPLE, "scenes": SCENES}
_SPLITS = ("train", "val", "test", "compositional")


def plan(level: str, split: str, clips: int, seed: int) -> list[Clip]:
    """The first `clips` clips of a split. The kinds of clips follow each other in turn, each with decks of its own."""
    kinds = _LEVELS[level]
    root = (seed, list(_LEVELS).index(level), _SPLITS.index(split))
    names = dict.fromkeys(kind.name for kind in kinds)
    decks = {name: Decks((*root, 0, i), split == "compositional") for i, name in enumerate(names)}
    made = []
    for index, kind in enumerate(islice(cycle(kinds), clips)):
        movers, questions = kind.make(decks[kind.name], np.random.default_rng((*root, 1, index)))
        made.append(Clip(f"{index:06d}", movers, questions, kind.tested, (*root, 2, index)))
    return made
