"""All problems of a spec in one message: place, dotted path, what was expected, what was found."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vlmkit.errors import SpecError
from vlmkit.spec.forms import FORMS
from vlmkit.spec.yaml import Path_

__all__ = ["Problem", "from_pydantic", "spec_error"]

_LONGEST = 80
"""Characters of a value that are shown."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a spec."""

    path: Path_
    message: str
    key: Path_ = ()
    """The key below the path that is to blame, where it is one."""


def from_pydantic(error: ValidationError) -> list[Problem]:
    """The problems that pydantic found, in our words."""
    problems = []
    for item in error.errors(include_url=False):
        path = tuple(part for part in item["loc"] if part != "[key]")
        kind, found = item["type"], item["input"]
        if kind == "missing":
            message = "this field is required: give it a value"
        elif kind == "value_error":
            message = str(item["ctx"]["error"])
        elif kind in ("unknown_key", "unknown_component", "no_component", "wrong_kind"):
            message = item["msg"]
        else:
            message = f"{_expected(kind, item['msg'], item.get('ctx', {}))}; found {_found(found)}"
        problems.append(Problem(path, message, ("type",) if kind == "unknown_component" else ()))
    return problems


_PLAIN = (
    ("int_", "expected a whole number"),
    ("float_", "expected a number"),
    ("bool_", "expected true or false"),
    ("string_type", "expected text"),
    ("string_too_short", "expected at least {min_length} characters"),
    ("string_too_long", "expected at most {max_length} characters"),
    ("string_pattern", "expected {form}"),
    ("path_type", "expected a path"),
    ("list_", "expected a list"),
    ("tuple_", "expected a list"),
    ("dict_", "expected a mapping of keys to values"),
    ("model_", "expected a mapping of keys to values"),
    ("too_short", "expected at least {min_length} in the list"),
    ("too_long", "expected at most {max_length} in the list"),
    ("greater_than", "expected a number {msg}"),
    ("less_than", "expected a number {msg}"),
)
"""By the beginning of pydantic's name for a problem, what people say."""


def _expected(kind: str, message: str, context: Mapping[str, Any]) -> str:
    """`Input should be a valid integer, unable to …` -> `expected a whole number`."""
    short = message.removeprefix("Input should be ")
    pattern = context.get("pattern", "")
    form = FORMS.get(pattern, f"text of the form {pattern}")
    for beginning, words in _PLAIN:
        if kind.startswith(beginning):
            return words.format(msg=short, form=form, **context)
    return f"expected {short}" if short != message else message.replace("Input should ", "expected to ")


def _found(value: object) -> str:
    """As a spec file could have it: `"big"`, `null`, `true`."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def spec_error(problems: Iterable[Problem], origins: Mapping[Path_, str], name: str) -> SpecError:
    """One SpecError for all problems, each with the nearest known place."""
    lines = [_line(problem, _place((*problem.path, *problem.key), origins, name)) for problem in problems]
    count = f"{len(lines)} problem{'s' if len(lines) != 1 else ''}"
    return SpecError("\n".join([f"{name}: this spec has {count}", *(f"  {line}" for line in lines)]))


def _line(problem: Problem, place: str) -> str:
    dotted = _dotted(problem.path)
    same = place == f"--set {dotted}"  # said once
    return f"{place}: {problem.message}" if same else f"{place}: {dotted}: {problem.message}"


def _place(path: Path_, origins: Mapping[Path_, str], name: str) -> str:
    for length in range(len(path), -1, -1):
        if place := origins.get(path[:length]):
            return place
    return name


def _dotted(path: Path_) -> str:
    return ".".join(map(str, path)) or "the whole spec"
