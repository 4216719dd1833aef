"""What a name that is not there may have been meant to be."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["hint", "near"]

_LONGEST = 200
"""Characters of a name; comparing longer texts takes minutes."""


def near(name: str, names: Iterable[str]) -> str | None:
    """The nearest of `names`, if any is near."""
    if len(name) > _LONGEST:
        return None
    close = difflib.get_close_matches(name, [name for name in names if len(name) <= _LONGEST], n=1, cutoff=0.6)
    return close[0] if close else None


def hint(name: str, names: Iterable[str]) -> str:
    """`did you mean 'stab'? `, to stand before a list of the names; empty where none is near."""
    close = near(name, names)
    return f"did you mean {close!r}? " if close else ""
