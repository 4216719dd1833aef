"""Which predictions the gallery shows: drawn by a seed, correct and wrong ones in proportion."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["choose", "outcome"]

Prediction = Mapping[str, Any]


def outcome(prediction: Prediction) -> str:
    """`correct`, `wrong` or `unscored`. (Not `right`, which is an answer too.)"""
    correct = prediction.get("correct")
    return "unscored" if correct is None else "correct" if correct else "wrong"


def choose(predictions: Sequence[Prediction], wanted: int, seed: int) -> list[Prediction]:
    """A systematic sample: every so many of the predictions sorted by outcome, then type.

    So each outcome, and each type within it, gets its share to within one. Ordered by type, then outcome, for showing;
    the same for the same predictions and seed.
    """
    draw = random.Random(seed)  # noqa: S311 -- a choice of pictures, not a secret
    shuffled = sorted(predictions, key=lambda p: str(p["id"]))
    draw.shuffle(shuffled)
    ordered = sorted(shuffled, key=lambda p: (outcome(p), str(p["type"])))
    wanted = min(wanted, len(ordered))
    start = draw.random()
    chosen = [ordered[int((i + start) * len(ordered) / wanted)] for i in range(wanted)]
    return sorted(chosen, key=lambda p: (str(p["type"]), outcome(p)))
