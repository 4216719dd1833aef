"""The content of an answer file: JSON, JSON lines, csv, tsv or xlsx, also compressed by gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from vlmkit.errors import DataError, as_written
from vlmkit.files import decode, read_bytes
from vlmkit.json_files import parse_json

__all__ = ["AnswerContent", "read_content"]

_EXPECTED = "answers: JSON, JSON lines, csv, tsv or xlsx"
_COMPRESSED = b"\x1f\x8b"
_XLSX = b"PK\x03\x04"


@dataclass(frozen=True)
class AnswerContent:
    """The content of a file, before it is known which tool wrote it."""

    where: str
    """The file."""
    stem: str
    """Its name without the endings: some tools say there which task it is."""
    value: Any
    """The parsed JSON; of JSON lines and tables a list of rows."""
    columns: tuple[str, ...] = ()
    """Of a table; every value in its rows is text. Empty where the file is none."""

    def rows(self) -> list[dict[str, Any]]:
        """The value as a list of objects; an empty list where it is anything else."""
        value = self.value
        return value if isinstance(value, list) and value and all(isinstance(row, dict) for row in value) else []

    def place(self, number: int) -> str:
        """Return where row `number`, counted from 0, stands."""
        return f"{self.where}, row {number + 1}"


def read_content(file: Path) -> AnswerContent:
    """Read a file. A DataError where it is damaged, cut off, empty, or none of these kinds."""
    content, where = read_bytes(file, _EXPECTED), str(file)
    if content.startswith(_COMPRESSED):
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise DataError(f"{file}: this gzip file is damaged or cut off: {error}; get it again") from None
    stem = file.name.split(".")[0]
    if content.startswith(_XLSX):
        return _workbook(content, where, stem)
    text = decode(content, where, _EXPECTED).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError(f"{file}: expected {_EXPECTED}; the file is empty")
    if text.lstrip()[0] not in "{[":
        return _table(text, where, stem)
    lines = text.strip().split("\n")
    if len(lines) > 1 and lines[0].startswith("{") and lines[0].rstrip().endswith("}"):
        rows = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
        return AnswerContent(where, stem, [_parsed(line, f"{where}, line {number}") for number, line in rows])
    return AnswerContent(where, stem, _parsed(text, where))


def _parsed(text: str, where: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise DataError(
                    f"{where}: the key {key!r} stands twice in one object: with {as_written(found[key])}, and with "
                    f"{as_written(value)}; leave one of them"
                )
            found[key] = value
        return found

    return parse_json(text, where, _EXPECTED, remedy="get the file again, or correct it", pairs=unique)


def _table(text: str, where: str, stem: str) -> AnswerContent:
    """Read csv or tsv: the first line names the columns, and tells by which sign they are parted."""
    head = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text), delimiter="\t" if "\t" in head else ",", strict=True)
    try:
        lines = [(reader.line_num, line) for line in reader if line]
    except csv.Error as error:
        raise DataError(f"{where}, line {reader.line_num}: this is no csv: {error}; get the file again") from None
    return _with_columns(lines, where, stem)


def _workbook(content: bytes, where: str, stem: str) -> AnswerContent:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DataError(
            f"{where}: an xlsx file is read with openpyxl, which is not installed; `pip install 'vlmkit[xlsx]'`, or "
            "save the table as csv"
        ) from None
    try:
        sheet = load_workbook(io.BytesIO(content), read_only=True, data_only=True).active
    except (BadZipFile, KeyError, ValueError) as error:
        raise DataError(f"{where}: this workbook is damaged or cut off: {error}; get it again") from None
    lines = [["" if cell is None else str(cell) for cell in line] for line in sheet.iter_rows(values_only=True)]
    return _with_columns(list(enumerate(lines, 1)), where, stem)


def _with_columns(lines: list[tuple[int, list[str]]], where: str, stem: str) -> AnswerContent:
    names = tuple(name.strip() for name in lines[0][1])
    if len(set(names)) < len(names) or len(names) < 2:
        raise DataError(
            f"{where}: expected a first line with two or more different column names, found {', '.join(names)}"
        )
    for number, line in lines[1:]:
        if len(line) != len(names):
            raise DataError(
                f"{where}, line {number}: expected {len(names)} columns as in the first line, found {len(line)}; the "
                "file is cut off there, or damaged; get it again"
            )
    if len(lines) == 1:
        raise DataError(f"{where}: expected {_EXPECTED}; it has column names alone")
    return AnswerContent(where, stem, [dict(zip(names, line, strict=True)) for _, line in lines[1:]], names)
