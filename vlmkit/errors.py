"""Exceptions, each a message that a user can act on, and what messages say of values, names and invalid data."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "NAME_PATTERN",
    "SHA256_PATTERN",
    "CheckpointError",
    "DataError",
    "KeyPath",
    "PluginError",
    "Problem",
    "RunError",
    "SpecError",
    "Unavailable",
    "UnreadableVideo",
    "UserError",
    "as_written",
    "closest_name",
    "did_you_mean",
    "from_pydantic",
    "half_character",
    "problem_list",
    "shortened",
    "shown",
]


_LONGEST_LINE = 1000
"""Characters of one line of a message; what a file or plugin says can be of any length."""
_MOST_LINES = 60

KeyPath = tuple[str | int, ...]
"""Keys of mappings and indices of lists, from the outside in."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]*$"
SHA256_PATTERN = r"^[0-9a-f]{64}$"
_PATTERNS = {
    NAME_PATTERN: "lower-case letters, digits, `.`, `_` and `-`, starting with a letter or digit",
    SHA256_PATTERN: "64 hexadecimal digits, letters in lower case",
}


class UserError(ValueError):
    """The user's input is at fault: the CLI prints the message alone and exits with code 2.

    A message says what was expected, what was found, where, and what to do. Very long ones are cut in the middle.
    """

    everywhere = False
    """Whether every process of a training raises it, so that the first one alone says it."""

    def __init__(self, message: object = "") -> None:
        super().__init__(_cut(str(message)))


class SpecError(UserError):
    """A spec that does not validate. All its problems are reported at once."""


class PluginError(UserError):
    """A plugin is missing, broken, made for another API version, or collides with another one."""


class DataError(UserError):
    """Files or annotations that are missing, changed or malformed."""


class UnreadableVideo(DataError):  # noqa: N818 -- it is what it is called in the documents
    """One video that cannot be decoded. The bad-sample policy skips, records and counts it."""


class CheckpointError(UserError):
    """A checkpoint that does not fit the model that should take it."""


class Unavailable(CheckpointError):  # noqa: N818 -- it says what the thing is
    """Weights or a tokenizer that are neither on this machine nor, if it was asked, on the hub: `vlmkit check` does
    without them."""


class RunError(UserError):
    """A run folder that cannot be continued, e.g. because it belongs to another spec."""


class _Repr(reprlib.Repr):
    """`repr` that neither fails on a value from a file nor takes long over it."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 10
        self.maxstring = self.maxother = self.maxlong = 200

    def repr_int(self, x: int, level: int) -> str:
        """Return the digits; Python refuses to write very many of them."""
        return f"<a number of about {x.bit_length() * 3 // 10} digits>" if x.bit_length() > 1000 else repr(x)


class _Json(_Repr):
    """The same with JSON's words and quotes."""

    def repr1(self, x: object, level: int) -> str:
        """Return JSON for text, booleans and None."""
        if isinstance(x, str):
            return json.dumps(x[: self.maxstring], ensure_ascii=False)
        return json.dumps(x) if x is None or isinstance(x, bool) else super().repr1(x, level)

    def repr_dict(self, x: Mapping[Any, object], level: int) -> str:
        """Return a mapping in its own order."""
        items = [f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}" for key in islice(x, self.maxdict)]
        return f"{{{', '.join(items)}{', …' if len(x) > self.maxdict else ''}}}" if level > 0 else "{…}"

    def repr_tuple(self, x: tuple[object, ...], level: int) -> str:
        """Return a list."""
        return self.repr_list(list(x), level)


_REPR, _JSON = _Repr(), _Json()


def shown(value: object, limit: int = 80) -> str:
    """Return `repr(value)` for a message, at most `limit` characters of it."""
    return shortened(_REPR.repr(value), limit)


def as_written(value: object) -> str:
    """Return the beginning of a value for a message, as a spec file could have it: `"big"`, `null`, `true`."""
    return shortened(_JSON.repr(value))


def shortened(text: str, limit: int = 80) -> str:
    """Return a text, or its beginning, in at most `limit` characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def half_character(text: str) -> str:
    """Return the first half of a pair of surrogates in a text, empty where it is whole.

    JSON can write one, but no tokenizer takes it and no file can hold it.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[error.start]
    return ""


def _cut(message: str) -> str:
    lines = message.split("\n")
    if len(lines) > _MOST_LINES:  # the last line often says what to do
        left_out = len(lines) - _MOST_LINES + 1
        lines = [*lines[: _MOST_LINES - 2], f"… {left_out} lines left out …", lines[-1]]
    return "\n".join(map(_cut_line, lines))


def _cut_line(line: str) -> str:
    if len(line) <= _LONGEST_LINE:
        return line
    tail = _LONGEST_LINE // 4
    return f"{line[: _LONGEST_LINE - tail - 3]} … {line[-tail:]}"


_LONGEST = 200
"""Characters of a name; comparing longer texts takes minutes."""


def closest_name(name: str, names: Iterable[str]) -> str | None:
    """Return the nearest of `names`, if any is near."""
    if len(name) > _LONGEST:
        return None
    close = difflib.get_close_matches(name, [name for name in names if len(name) <= _LONGEST], n=1, cutoff=0.6)
    return close[0] if close else None


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return `did you mean 'stab'? `, to stand before a list of the names; empty where none is near."""
    close = closest_name(name, names)
    return f"did you mean {close!r}? " if close else ""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a user's data."""

    path: KeyPath
    message: str
    key: KeyPath = ()
    """The key below the path that is to blame, where it is one."""

    @property
    def dotted(self) -> str:
        """The path as text."""
        return ".".join(map(str, self.path))


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


def problem_list(error: ValidationError, head: str) -> str:
    """Return `HEAD 2 problem(s)`, where the head ends in `has`, and the problems that pydantic found, a line each."""
    problems = from_pydantic(error)
    lines = [f"  {problem.dotted}: {problem.message}" for problem in problems]
    return "\n".join([f"{head} {len(problems)} problem(s)", *lines])


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
