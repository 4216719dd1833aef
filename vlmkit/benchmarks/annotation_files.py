"""Annotation files: JSON lists, JSON lines, nested JSON, csv and tsv, MSVD's table of names, gzip of each, as rows.

The content tells which it is, and not the name of the file. Where a row stands is told as `file, entry 3` (from 0) in
JSON, and `file, line 4` (from 1) in a table.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.benchmarks.annotation_options import AnnotationOptions, Lookup
from vlmkit.benchmarks.templates import MISSING, OWN_COLUMNS, Row, filled, value_at
from vlmkit.errors import DataError, shown
from vlmkit.files import decode, is_file, read_bytes
from vlmkit.json_files import parse_json, parse_rows

__all__ = [
    "NAME", "AnnotationContent", "annotation_file", "content_sha256", "file_name", "found_in", "looked_up", "read_rows",
]  # fmt: skip

_EXPECTED = "questions or answers"
_LAYOUTS = (
    "expected questions as a JSON list or JSON lines of {id, video, question, answer}, as csv or tsv with a line of "
    "column names, or a text file with the names of MSVD's videos as lines of the form NAME vidNUMBER"
)
_GZIP = b"\x1f\x8b"
_NAMED = re.compile(r"(\S+)\s+(vid[0-9]+)")
NAME = "name of vidNUMBER"
"""Column of the rows of MSVD's table of names."""


class AnnotationContent(NamedTuple):
    """The content of one annotation file, read once."""

    path: Path
    content: bytes

    @property
    def name(self) -> str:
        """The name of the file, without the ending of gzip."""
        return file_name(self.path)


def file_name(path: Path) -> str:
    """Return the name of a file, without the ending of gzip."""
    return path.name.removesuffix(".gz")


def annotation_file(path: Path) -> Path:
    """Return the path of an annotation file; where there is none, that of the same as gzip, if it lies there."""
    zipped = path.with_name(f"{path.name}.gz")
    return zipped if not is_file(path) and is_file(zipped) else path


def found_in(path: Path) -> AnnotationContent:
    """Read a file, and unpack it where it is gzip. A DataError where it cannot be read or is cut off."""
    content = read_bytes(path, _EXPECTED)
    if content.startswith(_GZIP):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            said = str(error).rstrip(".")
            raise DataError(
                f"{path}: expected {_EXPECTED} as gzip; it is damaged or cut off: {said}; get it again"
            ) from None
    return AnnotationContent(path, content)


def content_sha256(path: Path) -> str:
    """Return the checksum of the content of an annotation file, unpacked."""
    return hashlib.sha256(found_in(path).content).hexdigest()


def read_rows(file: AnnotationContent, options: AnnotationOptions) -> list[Row]:
    """Return the rows of a file. A DataError, with file and entry, where it is malformed or has none."""
    text, where = file.content, str(file.path)
    stem = Path(file.name).stem
    if not text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b"{")):
        if options.nested or options.rows:
            raise DataError(
                f"{where}: expected JSON with the rows below {options.nested or options.rows}, found a table"
            )
        return _counted(_table(decode(text, where, _EXPECTED), where), stem)
    if options.nested:
        entries = list(_nested(parse_json(text, where, _EXPECTED), options.nested, where))
    else:
        entries = [
            (row, index, f"{where}, entry {index}") for index, row in enumerate(parse_rows(text, where, _EXPECTED))
        ]
    if not entries:
        raise DataError(f"{where}: expected a JSON list of {_EXPECTED}, found an empty one")
    for row, _, place in entries:
        _check_object(row, place)
    if options.rows:
        entries = list(_inner(entries, options.rows))
        if not entries:
            raise DataError(f"{where}: no entry has a row under `{options.rows}`")
    return _counted(entries, stem)


_Entry = tuple[Any, int, str]


def _check_object(row: object, where: str) -> None:
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object with the keys question, answer, …; found {shown(row)}")


def _counted(entries: Sequence[_Entry], stem: str) -> list[Row]:
    return [
        Row({**dict(zip(OWN_COLUMNS, (stem, number, index), strict=True)), **values}, where)
        for number, (values, index, where) in enumerate(entries)
    ]


def _nested(data: object, names: Sequence[str], where: str) -> Iterator[_Entry]:
    """Walk through mappings, whose keys become columns, down to a list of rows or one row."""
    places: list[tuple[dict[str, str], object, str]] = [({}, data, f"{where}, entry")]
    for name in names:
        below = []
        for keys, value, place in places:
            if not isinstance(value, dict):
                raise DataError(f"{place.removesuffix(', entry')}: expected an object whose keys are `{name}`, found "
                                f"{shown(value)}")  # fmt: skip
            below += [({**keys, name: key}, inner, f"{place} {shown(key)}") for key, inner in value.items()]
        places = below
    for keys, value, place in places:
        rows = value if isinstance(value, list) else [value]
        for index, row in enumerate(rows):
            at = f"{place} {index}" if isinstance(value, list) else place
            _check_object(row, at)
            yield {**keys, **row}, index, at


def _inner(entries: Sequence[_Entry], column: str) -> Iterator[_Entry]:
    """Return the rows that entries list in a column."""
    for outer, _, place in entries:
        rows = outer.get(column)
        if not isinstance(rows, list):
            raise DataError(f"{place}: expected a list of rows under `{column}`, found {shown(rows)}")
        rest = {key: value for key, value in outer.items() if key != column}
        for index, row in enumerate(rows):
            at = f"{place}, {column} {index}"
            _check_object(row, at)
            yield {**rest, **row}, index, at


def _table(text: str, where: str) -> list[_Entry]:
    """Return the rows of csv, tsv or MSVD's table of names; an empty cell is no value."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    number, first = next(((n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()), (0, ""))
    if not first:
        raise DataError(f"{where}: {_LAYOUTS}; the file is empty")
    if _NAMED.fullmatch(first.strip()):
        return _names(text, where)
    delimiter = "\t" if "\t" in first else ","
    if delimiter not in first:
        raise DataError(f"{where}, line {number}: {_LAYOUTS}; found {shown(first)}")
    lines = csv.reader(io.StringIO(text), delimiter=delimiter, strict=True)
    rows: list[_Entry] = []
    header: list[str] = []
    start = 1
    try:
        for cells in lines:
            at, start = f"{where}, line {start}", lines.line_num + 1
            if not cells:
                continue
            if not header:
                header = _header(cells, at)
            elif len(cells) != len(header):
                raise DataError(f"{at}: expected {len(header)} columns as in the first line, found {len(cells)}: "
                                f"{shown(cells)}; the file may be cut off")  # fmt: skip
            else:
                values = {name: cell or None for name, cell in zip(header, cells, strict=True) if name}
                rows.append((values, len(rows), at))
    except csv.Error as error:
        raise DataError(f"{where}, line {start}: expected a table; {error}; the file may be cut off") from None
    if not rows:
        raise DataError(f"{where}: expected rows below the line of column names, found none")
    return rows


def _header(cells: list[str], where: str) -> list[str]:
    twice = [name for name, count in Counter(cells).items() if count > 1 and name]
    if twice:
        raise DataError(f"{where}: two columns have the name {shown(twice[0])}")
    return cells


def _names(text: str, where: str) -> list[_Entry]:
    """Return the lines of MSVD's table of names, by `vidN`."""
    rows: list[_Entry] = []
    names: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        at = f"{where}, line {number}"
        match = _NAMED.fullmatch(line.strip())
        if match is None:
            raise DataError(f"{at}: expected NAME vidNUMBER; found {shown(line)}")
        name, video = match.groups()
        if names.setdefault(video, name) != name:
            raise DataError(f"{at}: {video} has two names, {shown(names[video])} and {shown(name)}; remove one")
        rows.append(({"vid": video, NAME: name}, len(rows), at))
    return rows


def looked_up(rows: Sequence[Row], lookup: Lookup, column: str, file: AnnotationContent) -> list[Row]:
    """Return rows with a further column, whose values stand in another file, for those that are there."""
    where = str(file.path)
    if lookup.by is None:
        found: Any = parse_json(file.content, where, f"an object in which `{column}` is looked up")
    else:
        found = {}
        for row in read_rows(file, AnnotationOptions()):
            key = filled(lookup.by, row)
            if key in found:
                raise DataError(f"{row.where}: {shown(key)} stands there a second time")
            if key is not None:
                found[key] = row.values
    values = [_at(found, lookup.path, row) for row in rows]
    return [
        row if value is MISSING else Row({**row.values, column: value}, row.where)
        for row, value in zip(rows, values, strict=True)
    ]


def _at(found: object, path: Sequence[str], row: Row) -> object:
    for template in path:
        key = filled(template, row)
        found = MISSING if key is None else value_at(found, key)
        if found is MISSING:
            break
    return found
