"""Problems that pydantic finds in a user's data, in words for that user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from vlmkit.errors import as_written

__all__ = ["NAME_PATTERN", "SHA256_PATTERN", "KeyPath", "Problem", "from_pydantic"]

KeyPath = tuple[str | int, ...]
"""Keys of mappings and indices of lists, from the outside in."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
_PATTERNS = {
    NAME_PATTERN: "lower-case letters, digits, `.`, `_` and `-`, starting with a letter or digit",
    SHA256_PATTERN: "64 hexadecimal digits, letters in lower case",
}


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a user's data."""

    path: KeyPath
    message: str
    key: KeyPath = ()
    """The key below the path that is to blame, where it is one."""


def from_pydantic(error: ValidationError) -> list[Problem]:
    """Return the problems that pydantic found, in our words."""
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
    form = _PATTERNS.get(pattern, f"text of the form {pattern}")
    for beginning, words in _PLAIN:
        if kind.startswith(beginning):
            return words.format(msg=short, form=form, **context)
    return f"expected {short}" if short != message else message.replace("Input should ", "expected to ")
