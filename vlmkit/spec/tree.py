"""The values of a spec with their places: what `extends` and `--set` change, before it becomes plain data."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmkit.api.spec import Spec
from vlmkit.errors import SpecError, shown
from vlmkit.spec.scalars import Scalar, fits, whole

__all__ = ["DEEPEST", "MOST_VALUES", "Document", "Path_", "Placed", "placed", "plain", "too_deep"]

Path_ = tuple[str | int, ...]

MOST_VALUES = 50_000
"""Values that a spec may stand for; each use of an alias counts anew. No spec comes near."""
DEEPEST = 50
"""Levels of lists and mappings in each other."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it was given: `file:line`, or the option that set it. One value can stand at several paths."""

    value: Any
    """A scalar, a list of Placed or a dict of Placed."""
    place: str


@dataclass
class Document:
    """A whole spec, which `vlmkit.spec.merge` changes."""

    root: Placed

    @property
    def data(self) -> Any:
        """Plain data. A SpecError where it would be more than a spec can be."""
        return plain(self.root)

    def place(self, path: Path_) -> str:
        """Where the value at a path was given, or the nearest above it that was."""
        node = self.root
        for key in path:
            below = node.value
            keys = range(len(below)) if isinstance(below, list) else below if isinstance(below, dict) else ()
            if key not in keys:
                break
            node = below[key]
        return node.place


def plain(root: Placed) -> Any:
    """Return the value without places. A SpecError for more than `MOST_VALUES` values or `DEEPEST` levels."""
    count = 0

    def walk(node: Placed, depth: int) -> Any:
        nonlocal count
        count += 1
        if count > MOST_VALUES:
            raise SpecError(
                f"{root.place}: this stands for more than {MOST_VALUES:,} values (an alias `*x` counts as often as it "
                "is used); shorten it"
            )
        if depth > DEEPEST:
            raise too_deep(root.place)
        if isinstance(node.value, dict):
            return {key: walk(below, depth + 1) for key, below in node.value.items()}
        if isinstance(node.value, list):
            return [walk(below, depth + 1) for below in node.value]
        return node.value

    return walk(root, 0)


def too_deep(place: str) -> SpecError:
    """The error for more than `DEEPEST` levels."""
    return SpecError(f"{place}: lists and mappings are nested too deeply, more than {DEEPEST} levels; write it flatter")


def placed(value: Any, place: str) -> Placed:
    """Return data that Python gives, e.g. as a value of `load_spec(…, set={…})`, as if a file had it at that place.

    A SpecError for what no spec file can hold.
    """
    known: dict[int, Placed] = {}  # what stands at several paths is looked at once

    def walk(value: Any, depth: int) -> Placed:
        if depth > DEEPEST:
            raise too_deep(place)
        if not isinstance(value, Mapping | list | tuple):
            return Placed(_scalar(value, place), place)
        if id(value) not in known:
            if isinstance(value, Mapping):
                below: Any = {_key(key, place): walk(item, depth + 1) for key, item in value.items()}
            else:
                below = [walk(item, depth + 1) for item in value]
            known[id(value)] = Placed(below, place)
        return known[id(value)]

    root = walk(value.model_dump(mode="json") if isinstance(value, Spec) else value, 0)
    plain(root)
    return root


def _key(key: object, place: str) -> str:
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(_scalar(key, place))
    raise SpecError(f"{place}: expected text as the key of a mapping, found {shown(key)}")


def _scalar(value: object, place: str) -> Scalar:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str | Path):
        try:
            return whole(str.__str__(value) if isinstance(value, str) else str(value))
        except ValueError as error:
            raise SpecError(f"{place}: {error}; correct {shown(value)}") from None
    if isinstance(value, numbers.Integral):
        if fits(integer := int(value)):
            return integer
    elif isinstance(value, numbers.Real):
        with suppress(OverflowError):  # of a fraction
            if math.isfinite(number := float(value)):
                return number
    expected = "expected text, a finite number, true, false, null, a list or a mapping"
    raise SpecError(f"{place}: {expected}; found {shown(value)}")
