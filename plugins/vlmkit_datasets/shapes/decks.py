"""Dealing values from shuffled decks: random in order, exactly even in number."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

import numpy as np

from .words import HELD_OUT, SEEN, SEEN_EVENLY, Pair

__all__ = ["Decks"]

T = TypeVar("T")


class Decks:
    """The decks of one kind of clips. A deck is shuffled anew each time it is used up."""

    def __init__(self, seed: tuple[int, ...], held_out: bool) -> None:
        self._rng = np.random.default_rng(seed)
        self._left: dict[str, list[Any]] = {}
        self.pairs: tuple[Pair, ...] = HELD_OUT if held_out else SEEN
        """Pairs of colour and shape that may be asked about."""
        self.even_pairs: tuple[Pair, ...] = HELD_OUT if held_out else SEEN_EVENLY
        """The same with repeats that make each colour and each shape equally frequent."""

    def deal(self, deck: str, values: Collection[T]) -> T:
        """The next value of a deck, which holds each of `values` once."""
        left = self._left.get(deck)
        if not left:
            cards = list(values)
            left = self._left[deck] = [cards[i] for i in self._rng.permutation(len(cards))]
        value: T = left.pop()
        return value
