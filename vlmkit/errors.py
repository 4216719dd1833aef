"""Exceptions, each a message that a user can act on, and what messages show of values and names."""

from __future__ import annotations

import difflib
import json
import reprlib
from collections.abc import Iterable, Mapping
from itertools import islice

__all__ = [
    "CheckpointError",
    "DataError",
    "PluginError",
    "RunError",
    "SpecError",
    "Unavailable",
    "UnreadableVideo",
    "UserError",
    "as_written",
    "closest_name",
    "did_you_mean",
    "shown",
]


_LONGEST_LINE = 1000
"""Characters of one line of a message; what a file or plugin says can be of any length."""
_MOST_LINES = 60
_LONGEST_VALUE = 80
"""Characters of a value that are shown."""


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


_REPR = _Repr()


def shown(value: object, limit: int = 80) -> str:
    """Return `repr(value)` for a message, at most `limit` characters of it."""
    text = _REPR.repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def as_written(value: object) -> str:
    """Return the beginning of a value for a message, as a spec file could have it: `"big"`, `null`, `true`."""
    text = json.dumps(_pruned(value, 4), ensure_ascii=False, default=shown)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _pruned(value: object, levels: int) -> object:
    """Return no more of a value than is shown."""
    if isinstance(value, Mapping | list | tuple) and not levels:
        return "…"
    if isinstance(value, Mapping):
        items = islice(value.items(), _LONGEST_VALUE)
        return {str(key)[:_LONGEST_VALUE]: _pruned(item, levels - 1) for key, item in items}
    if isinstance(value, list | tuple):
        return [_pruned(item, levels - 1) for item in islice(value, _LONGEST_VALUE)]
    if isinstance(value, str):
        return str(value[:_LONGEST_VALUE])
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and value.bit_length() < 1000):
        return value
    return shown(value)


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
