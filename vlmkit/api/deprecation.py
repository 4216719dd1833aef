"""Names that are replaced: whoever uses one is told so once, with the name to use instead."""

from __future__ import annotations

import warnings

__all__ = ["deprecated"]

_said: set[tuple[str, str]] = set()


def deprecated(name: str, instead: str) -> None:
    """Give a FutureWarning, once in this process, that `name` is going away and what replaces it.

    Call it where the old name is used: first in a function that others should no longer call, or in the `__getattr__`
    of a module that still knows a name which has moved. Both texts are words for people: "`halve()`", "`pool(2)`".
    """
    if (name, instead) not in _said:
        _said.add((name, instead))
        warnings.warn(f"{name} is deprecated and will go away; use {instead}", FutureWarning, stacklevel=3)
