"""Bounds for a configuration of transformers that no model reaches: beyond them, building would never end. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vlmkit.api.bounds import MOST_LAYERS
from vlmkit.errors import shown

__all__ = ["MOST_TOKENS", "first_too_large"]

MOST_TOKENS = 2**24
"""Rows of an embedding table."""
_MOST = 2**18
"""Of anything else that is counted: experts, labels."""
_LARGEST = 2**31 - 1
"""Of any other whole number: positions, windows, ids of tokens."""
_LAYERS = ("layer", "depth", "block")
"""Parts of the names under which configurations count what is built one by one."""
_COUNTS = ("num_", "n_")
"""How the names of other counts begin."""
_LENGTHS = ("_ctx", "_positions", "_size")
"""How names end that are of no count."""


def first_too_large(config: Mapping[str, Any]) -> str:
    """Return what to say of the first number beyond its bound, nested ones included; empty where there is none."""
    for path, value in _numbers(config):
        bound = _bound(path.rpartition(".")[2])
        if abs(value) > bound and (bound < _LARGEST or isinstance(value, int)):
            return f"{path}: expected at most {bound:,}, found {shown(value)}"
    return ""


def _bound(key: str) -> int:
    if key.endswith(_LENGTHS):
        return _LARGEST
    if any(word in key for word in _LAYERS):
        return MOST_LAYERS
    return _MOST if key.startswith(_COUNTS) else _LARGEST


def _numbers(config: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield every number with its dotted path."""
    stack: list[tuple[str, Any]] = [("", config)]
    while stack:
        path, found = stack.pop()
        if isinstance(found, Mapping):
            stack += [(f"{path}.{key}" if path else str(key), item) for key, item in reversed(list(found.items()))]
        elif isinstance(found, list | tuple):
            stack += [(path, item) for item in found]
        elif isinstance(found, int | float) and not isinstance(found, bool):
            yield path, found
