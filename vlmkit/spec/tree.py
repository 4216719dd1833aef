"""The values of a spec with their places: what `extends` and `--set` change, before it becomes plain data."""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlmkit.api.spec import Spec
from vlmkit.errors import KeyPath, Problem, SpecError, half_character, shortened, shown

__all__ = ["DEEPEST", "MOST_DIGITS", "MOST_VALUES", "Placed", "fits", "placed", "spec_error", "too_deep", "whole"]

MOST_VALUES = 50_000
"""Values that a spec may stand for; each use of an alias counts anew. No spec comes near."""
DEEPEST = 50
"""Levels of lists and mappings in each other."""
MOST_DIGITS = 300
"""Digits of a whole number: fewer than Python refuses to write, and few enough for a float."""
_MOST_PROBLEMS = 40
"""Problems that one message lists."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it was given: `file:line`, or the option that set it. One value can stand at several paths."""

    value: Any
    """A scalar, a list of Placed or a dict of Placed."""
    place: str

    @property
    def data(self) -> Any:
        """The value without places. A SpecError for more than `MOST_VALUES` values or `DEEPEST` levels."""
        count = 0

        def walk(node: Placed, depth: int) -> Any:
            nonlocal count
            count += 1
            if count > MOST_VALUES:
                raise SpecError(
                    f"{self.place}: this stands for more than {MOST_VALUES:,} values (an alias `*x` counts as often as "
                    "it is used); shorten it"
                )
            if depth > DEEPEST:
                raise too_deep(self.place)
            if isinstance(node.value, dict):
                return {key: walk(below, depth + 1) for key, below in node.value.items()}
            if isinstance(node.value, list):
                return [walk(below, depth + 1) for below in node.value]
            return node.value

        return walk(self, 0)

    def place_of(self, path: KeyPath) -> str:
        """Return where the value at a path was given, or the nearest above it that was."""
        node = self
        for key in path:
            below = node.value
            keys = range(len(below)) if isinstance(below, list) else below if isinstance(below, dict) else ()
            if key not in keys:
                break
            node = below[key]
        return node.place


def too_deep(place: str) -> SpecError:
    """Return the error for more than `DEEPEST` levels."""
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
    _ = root.data  # within the limits
    return root


def _key(key: object, place: str) -> str:
    if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
        return str(_scalar(key, place))
    raise SpecError(f"{place}: expected text as the key of a mapping, found {shown(key)}")


def _scalar(value: object, place: str) -> bool | int | float | str | None:
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


def fits(number: int) -> bool:
    """Return whether a whole number has at most `MOST_DIGITS` digits."""
    return abs(number) < 10**MOST_DIGITS


def whole(text: str) -> str:
    """Return the text, in which escapes of half characters (JSON's way to write emoji) are joined to whole ones.

    A ValueError where one of two halves is missing.
    """
    if half_character(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
        if half_character(text):
            raise ValueError("expected whole characters, one here is only half of one")
    return text


def spec_error(problems: Sequence[Problem], name: str, tree: Placed | None = None) -> SpecError:
    """Return one SpecError for all problems, each with the nearest known place; of very many, the first."""
    lines = [f"  {_line(problem, name, tree)}" for problem in problems[:_MOST_PROBLEMS]]
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"  … and {len(problems) - _MOST_PROBLEMS:,} more")
    count = f"{len(problems):,} problem{'s' if len(problems) != 1 else ''}"
    return SpecError("\n".join([f"{name}: this spec has {count}", *lines]))


def _line(problem: Problem, name: str, tree: Placed | None) -> str:
    dotted = _dotted(problem.path)
    place = name if tree is None else tree.place_of((*problem.path, *problem.key))
    where = place if place == f"--set {dotted}" else f"{place}: {dotted}"  # said once
    return f"{where}: {problem.message}"


def _dotted(path: KeyPath) -> str:
    return ".".join(shortened(str(part)) for part in path) or "the whole spec"
