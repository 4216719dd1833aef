"""Templates over the columns of a row of annotations, filled as text: `{video}_{qid}`, `{a|b}`, `{messages.0.text}`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from vlmkit.benchmarks.annotation_options import TextOptions
from vlmkit.errors import DataError, did_you_mean, shown
from vlmkit.json_files import name_of

__all__ = [
    "MISSING", "OWN_COLUMNS", "Read", "Row", "check_columns", "columns_of", "filled", "lacking", "plain_text",
    "text_in", "value_at", "value_in",
]  # fmt: skip

MISSING: Final = object()
"""Stands for a value that is not there."""
OWN_COLUMNS = ("file", "row", "index")
"""Columns that every row has, unless its file has another of the name."""
_PLACE = re.compile(r"\{([^{}]+)\}")

Read = Callable[[object, str, str], str]
"""Makes text of a value, given the name of its column and where it stands. A DataError where that cannot be."""


class Row(NamedTuple):
    """One row, and where it stands, for messages."""

    values: dict[str, Any]
    where: str


@lru_cache
def _parts(template: str) -> tuple[str | tuple[str, ...], ...]:
    """Return the parts of a template: texts, and columns as tuples of alternatives."""
    pieces = _PLACE.split(template)
    return tuple(tuple(piece.split("|")) if number % 2 else piece for number, piece in enumerate(pieces))


def columns_of(template: str) -> list[tuple[str, ...]]:
    """Return the columns that a template names, each with its alternatives."""
    return [part for part in _parts(template) if not isinstance(part, str)]


def value_at(data: object, path: str) -> object:
    """Return what stands under a key, or under keys with dots between them; else MISSING."""
    if isinstance(data, dict) and path in data:
        return data[path]
    key, dot, rest = path.partition(".")
    if isinstance(data, dict) and dot and key in data:
        return value_at(data[key], rest)
    if isinstance(data, list) and key.isdecimal() and len(key) < 10 and int(key) < len(data):
        return value_at(data[int(key)], rest) if dot else data[int(key)]
    return MISSING


def value_in(columns: Iterable[str], row: Row) -> tuple[str, object]:
    """Return the first of these columns that has a value, with the value; else MISSING. Null is none."""
    name = ""
    for name in columns:
        found = value_at(row.values, name)
        if found is not MISSING and found is not None:
            return name, found
    return name, MISSING


def filled(template: str, row: Row, read: Read = name_of) -> str | None:
    """Return a template with the columns of a row in it; None where one of them has no value."""
    texts = []
    for part in _parts(template):
        if isinstance(part, str):
            texts.append(part)
            continue
        name, value = value_in(part, row)
        if value is MISSING:
            return None
        texts.append(read(value, name, row.where))
    return "".join(texts)


def text_in(options: TextOptions, row: Row, key: str, read: Read = name_of) -> str | None:
    """Return the text that the options make of a row; None where a column has no value.

    A DataError where the pattern does not occur in it.
    """
    text = filled(options.template, row, read)
    if text is None:
        return None
    if options.pattern is not None:
        match = re.search(options.pattern, text)
        if match is None:
            said = f"in which the pattern {options.pattern!r} does not occur; correct either"
            raise DataError(f"{row.where}: `{key}` is made of {shown(text)}, {said}")
        text = match[1] if match.re.groups else match[0]
    if options.lower:
        text = text.lower()
    return options.map.get(text, text)


def plain_text(value: object, key: str, where: str) -> str:
    """Return a text or number as text, true and false as JSON has them. A DataError for anything else."""
    if isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    return name_of(value, key, where)


def lacking(template: str, row: Row) -> str:
    """Return what a message says of a template that a row does not fill: `expected 'id' or 'question_id', found …`."""
    columns = next(part for part in columns_of(template) if value_in(part, row)[1] is MISSING)
    return f"expected {' or '.join(map(repr, columns))}, found the keys {', '.join(_keys(row))}"


def _keys(row: Row) -> list[str]:
    return [name for name in row.values if name not in OWN_COLUMNS]


def check_columns(templates: Mapping[str, str], rows: Sequence[Row], everywhere: Iterable[Row] = ()) -> None:
    """Raise a DataError where a template names a column that no row has, neither of these rows of one file nor of those
    of the other files; it says the nearest column and which there are."""
    for key, template in templates.items():
        for part in columns_of(template):
            if any(_has(row, part) for row in rows) or any(_has(row, part) for row in everywhere):
                continue
            known = list(dict.fromkeys(name for row in rows for name in _keys(row)))
            near = did_you_mean(part[0].partition(".")[0], known)
            file = rows[0].where.rpartition(", ")[0]
            raise DataError(
                f"{file}: `{key}` names the column {' or '.join(map(repr, part))}, which no row has; {near}columns: "
                f"{', '.join(known)}"
            )


def _has(row: Row, columns: Iterable[str]) -> bool:
    return any(value_at(row.values, name) is not MISSING for name in columns)
