"""Entries of data files: a JSON list, or JSON lines, and what their fields may hold."""

from __future__ import annotations

import re
from typing import Any

from vlmkit.errors import DataError, shown
from vlmkit.files import decode, whole_text
from vlmkit.json_files import parse_json

__all__ = ["name_of", "parse_rows", "text_of"]

_LINES = re.compile(r"\s*\{[^\n]*(?:\n\s*\{|\s*\Z)")
"""The beginning of JSON lines: two of them, or a single one."""
_SCALARS = {None: "null", True: "true", False: "false"}


def parse_rows(content: bytes, where: str, expected: str) -> list[Any]:
    """Return the entries of a JSON list, or those of JSON lines: one object a line.

    Which of the two it is the content tells, and not the name of the file: JSON lines begin with a brace, and so does
    each line. Whatever stands in the list is returned.

    Args:
        content: UTF-8, with or without a byte order mark.
        where: the file, for the message.
        expected: what an entry should be, e.g. "questions".

    Raises:
        DataError: it is neither, or empty.
    """
    what = f"a JSON list of {expected}, or one JSON object per line"
    text = decode(content, where, what)
    if not text or text.isspace():
        raise DataError(f"{where}: expected {what}; the file is empty")
    if _LINES.match(text):
        lines = enumerate(text.split("\n"), 1)
        return [parse_json(line, f"{where}, line {number}", what) for number, line in lines if line.strip()]
    rows = parse_json(text, where, what)
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected {what}; found {_shown(rows)}; correct it")
    return rows


def name_of(value: object, key: str, where: str) -> str:
    """Return an id, or another name, as text; JSON may also give it as a whole number.

    Raises:
        DataError: it is anything else: what a list or `true` looks like as text nobody has meant.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(value, key, "text or a whole number", where)


def text_of(value: object, key: str, where: str) -> str:
    """Return a text. A DataError where it is anything else."""
    return _text(value, key, "text", where)


def _text(value: object, key: str, expected: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: `{key}` should be {expected}, found {_shown(value)}; correct it")
    return whole_text(value, where)


def _shown(value: object) -> str:
    """As it stands in JSON."""
    return _SCALARS[value] if value is None or isinstance(value, bool) else shown(value)
