"""JSON: of users' data files, and what a run keeps, whole files and JSON-lines files that grow while it goes on.

What is read of a run is validated against a type, and nothing is converted to it (`"1"` is no number).
Text that is written here carries its own checksum (xxh3, 128 bits): JSON as the last key of its last object, YAML as a
comment in its last line. It covers every other byte of the file (of a JSON-lines file: of the line), and is compared
when the text is read back; what has none is taken as it is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from xxhash import xxh3_128

from vlmkit.errors import DataError, RunError, UserError, as_written, from_pydantic, half_character
from vlmkit.files import decode, is_file, read_bytes, read_text, whole_text, write_atomic

__all__ = [
    "LINES_REMEDY",
    "BadSample",
    "Record",
    "is_present",
    "json_line",
    "name_of",
    "parse_json",
    "parse_rows",
    "read_json",
    "read_json_lines",
    "read_record",
    "stamp",
    "stamped",
    "stamped_comment",
    "text_of",
    "validated",
    "write_record",
]

T = TypeVar("T")
LINES_REMEDY = "remove the line, or the file"
_REMEDY = "remove the file and run the command again"

_KEY = "checksum"
"""Under which an object holds its checksum."""
_DIGITS = 32
_BLANK = "0" * _DIGITS
_HEX = b"0123456789abcdef"
_JSON = re.compile(rb'"([^"]*)": "([^"]{32})"[\s}\]]*\Z')
_COMMENT = re.compile(rb"\n# ([^\n]*): ([^\n]{32})\Z")
_TAIL = 1000
"""Bytes at the end of a file in which its own checksum is looked for."""
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
"""JSON's way to write one half of a pair of surrogates."""
_JSON_LINES = re.compile(r"\s*\{[^\n]*(?:\n\s*\{|\s*\Z)")
"""The beginning of JSON lines: two of them, or a single one."""


class BadSample(BaseModel):
    """A line of bad_samples.jsonl, which both training and evaluation write and read."""

    model_config = ConfigDict(extra="allow")

    id: str
    video: str | None
    reason: str
    where: str


def parse_json(
    text: str | bytes,
    where: str,
    expected: str = "JSON",
    error: type[UserError] = DataError,
    remedy: str = "correct it",
    pairs: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    """Return what JSON stands for, in UTF-8 with or without a byte order mark; `error` where it is none.

    The message begins with `where`, file and line, says what was `expected`, and ends with the `remedy`. Keys and
    values of each object go through `pairs`, which sees keys that stand twice; without it the last one counts.
    """
    if isinstance(text, bytes):
        text = decode(text, where, expected, error, remedy)
    try:
        return json.loads(text.removeprefix("\ufeff"), object_pairs_hook=pairs)
    except UserError:
        raise
    except RecursionError:
        raise error(f"{where}: expected {expected}; its lists and objects are nested too deeply; {remedy}") from None
    except json.JSONDecodeError as problem:
        raise error(f"{where}: expected {expected}; this is no JSON: {problem}; {remedy}") from None
    except ValueError as problem:  # more digits than Python reads
        said = str(problem).partition(";")[0]
        raise error(f"{where}: expected {expected}; a number in it has too many digits ({said}); {remedy}") from None


def read_json(
    file: Path, expected: str = "JSON", error: type[UserError] = DataError, remedy: str = "correct it"
) -> Any:
    """Return what a file of JSON stands for. Arguments and errors as those of `read_text` and `parse_json`."""
    return parse_json(read_text(file, expected, error, remedy), str(file), expected, error, remedy)


def is_present(path: Path) -> bool:
    """Return whether there is such a file. A RunError where something else has its name: a pipe, say, would block."""
    if is_file(path):
        return True
    if path.exists():
        raise RunError(f"{path}: expected a file, found a folder, pipe or device; remove it and run the command again")
    return False


def read_record(path: Path, kind: type[T], remedy: str = _REMEDY) -> T:
    """Return the content of a file as an object of a type. A RunError, which ends with `remedy`, where it is none."""
    return _parse(read_bytes(path, "JSON", RunError, remedy), kind, str(path), remedy)


def write_record(path: Path, content: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> None:
    """Write an object, or a list of objects, with its checksum, whole or not at all."""
    write_atomic(path, stamped(content, indent=2) + "\n")


def json_line(entry: Mapping[str, Any]) -> str:
    """A line of a JSON-lines file, with its checksum."""
    return stamped(entry) + "\n"


def read_json_lines(path: Path, kind: type[T], *, mend: bool = False) -> list[T]:
    """Return the lines of a file as objects of a type, none where there is no file. A RunError where a line is none.

    A torn last line, as a kill leaves it, is no line yet. With `mend` it is cut off, so that what is appended next
    starts a line of its own.
    """
    if not is_present(path):
        return []
    content = read_bytes(path, "JSON lines", RunError, LINES_REMEDY)
    whole = content[: content.rfind(b"\n") + 1]
    if mend and whole != content:
        os.truncate(path, len(whole))
    lines = enumerate(whole.split(b"\n")[:-1], 1)
    return [_parse(line, kind, f"{path}, line {number}", LINES_REMEDY) for number, line in lines]


def validated(found: Any, kind: type[T], where: str, remedy: str) -> T:
    """Return plain data as an object of a type. A RunError where it is none."""
    try:
        record: T = _adapter(kind).validate_python(found, strict=True)  # type: ignore[arg-type]  # it is hashable
    except ValidationError as error:
        problem = from_pydantic(error)[0]
        key = ".".join(map(str, problem.path))
        absent = error.errors()[0]["type"] == "missing"
        said = f"expected the key {key}, which is missing" if absent else problem.message
        place = f"{where}: {key}" if key and not absent else where
        raise RunError(f"{place}: {said}; {remedy}") from None
    return record


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _parse(content: bytes, kind: type[T], where: str, remedy: str) -> T:
    found = parse_json(content, where, "JSON", RunError, remedy)
    last = found[-1] if isinstance(found, list) and found else found
    if isinstance(last, dict):
        last.pop(_KEY, None)
    record = validated(found, kind, where, remedy)
    if _HALF.search(content) and half_character(json.dumps(found, ensure_ascii=False)):
        raise RunError(f"{where}: expected text, found half a character, which no file can hold; {remedy}")
    if stamp(content) == "wrong":
        raise RunError(f"{where}: its checksum is wrong: it was damaged, or changed, since it was written; {remedy}")
    return record


def stamp(content: bytes) -> Literal["absent", "right", "wrong"]:
    """Return whether text carries its own checksum, and whether it is right."""
    content = content.rstrip(b"\n")
    start = max(0, len(content) - _TAIL)
    found = _JSON.search(content, start) or _COMMENT.search(content, start)
    if found is None or sum(byte in _HEX for byte in found[2]) < _DIGITS - 2:  # a damaged one is one all the same
        return "absent"
    blank = content[: found.start(2)] + _BLANK.encode() + content[found.end(2) :]
    return "right" if (found[1], found[2]) == (_KEY.encode(), xxh3_128(blank).hexdigest().encode()) else "wrong"


def stamped(content: Mapping[str, Any] | Sequence[Mapping[str, Any]], indent: int | None = None) -> str:
    """Return JSON with its own checksum under the key `checksum` of the object, or of the last object of a list."""
    items = [content] if isinstance(content, Mapping) else list(content)
    items[-1] = {**{key: value for key, value in items[-1].items() if key != _KEY}, _KEY: _BLANK}
    whole = items[0] if isinstance(content, Mapping) else items
    return _fill(json.dumps(whole, indent=indent, ensure_ascii=False, default=dict))  # of models: their fields


def stamped_comment(text: str) -> str:
    """Return YAML, which ends with a line feed, with a last line that holds its checksum."""
    return _fill(f"{text}# {_KEY}: {_BLANK}") + "\n"


def _fill(text: str) -> str:
    """Put the checksum of the whole in the place of the last blank one."""
    before, _, after = text.rpartition(_BLANK)
    return f"{before}{xxh3_128(text.encode()).hexdigest()}{after}"


def parse_rows(content: bytes, where: str, expected: str) -> list[Any]:
    """Return the entries of a JSON list, or those of JSON lines: one object a line.

    The content tells which of the two it is, and not the name of the file: JSON lines begin with a brace. A DataError,
    which names the file `where` and the `expected` entries, e.g. "questions", where it is neither, or empty.
    """
    what = f"a JSON list of {expected}, or one JSON object per line"
    text = decode(content, where, what)
    if not text or text.isspace():
        raise DataError(f"{where}: expected {what}; the file is empty")
    if _JSON_LINES.match(text):
        lines = enumerate(text.split("\n"), 1)
        return [parse_json(line, f"{where}, line {number}", what) for number, line in lines if line.strip()]
    rows = parse_json(text, where, what)
    if not isinstance(rows, list):
        raise DataError(f"{where}: expected {what}; found {as_written(rows)}; correct it")
    return rows


def name_of(value: object, key: str, where: str) -> str:
    """Return an id, or another name, as text; JSON may also give it as a whole number. Else a DataError."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _checked_text(value, key, "text or a whole number", where)


def text_of(value: object, key: str, where: str) -> str:
    """Return a text. A DataError where it is anything else."""
    return _checked_text(value, key, "text", where)


def _checked_text(value: object, key: str, expected: str, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where}: `{key}` should be {expected}, found {as_written(value)}; correct it")
    return whole_text(value, where)


class Record(BaseModel):
    """The base of records that are written as JSON. What a file holds beside the fields is kept."""

    model_config = ConfigDict(extra="allow", frozen=True)

    def data(self) -> dict[str, Any]:
        """Return plain data for JSON: what was set, in the order of the fields."""
        return self.model_dump(exclude_unset=True)
