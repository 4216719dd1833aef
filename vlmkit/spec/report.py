"""All problems of a spec in one message: place, dotted path, what was expected, what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from vlmkit.errors import SpecError, shown
from vlmkit.spec.forms import FORMS
from vlmkit.spec.tree import Document, Path_

__all__ = ["Problem", "as_written", "from_pydantic", "spec_error"]

_MOST = 40
"""Problems that one message lists."""
_LONGEST = 80
"""Characters of a key, or of a value, that are shown."""


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
            message = f"{_expected(kind, item['msg'], item.get('ctx', {}))}; found {as_written(found)}"
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


def as_written(value: object) -> str:
    """Return the beginning of a value for a message, as a spec file could have it: `"big"`, `null`, `true`."""
    return _cut(json.dumps(_pruned(value, 4), ensure_ascii=False, default=shown))


def _pruned(value: object, levels: int) -> object:
    """No more of it than is shown."""
    if isinstance(value, Mapping | list | tuple) and not levels:
        return "…"
    if isinstance(value, Mapping):
        return {str(key)[:_LONGEST]: _pruned(item, levels - 1) for key, item in islice(value.items(), _LONGEST)}
    if isinstance(value, list | tuple):
        return [_pruned(item, levels - 1) for item in islice(value, _LONGEST)]
    if isinstance(value, str):
        return str(value[:_LONGEST])
    return value if value is None or isinstance(value, bool | float) else _number(value)


def _number(value: object) -> object:
    return value if isinstance(value, int) and value.bit_length() < 1000 else shown(value)


def spec_error(problems: Sequence[Problem], name: str, document: Document | None = None) -> SpecError:
    """One SpecError for all problems, each with the nearest known place; of very many, the first."""
    lines = [f"  {_line(problem, name, document)}" for problem in problems[:_MOST]]
    if len(problems) > _MOST:
        lines.append(f"  … and {len(problems) - _MOST:,} more")
    count = f"{len(problems):,} problem{'s' if len(problems) != 1 else ''}"
    return SpecError("\n".join([f"{name}: this spec has {count}", *lines]))


def _line(problem: Problem, name: str, document: Document | None) -> str:
    dotted = _dotted(problem.path)
    place = name if document is None else document.place((*problem.path, *problem.key))
    same = place == f"--set {dotted}"  # said once
    return f"{place}: {problem.message}" if same else f"{place}: {dotted}: {problem.message}"


def _dotted(path: Path_) -> str:
    return ".".join(_cut(str(part)) for part in path) or "the whole spec"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
