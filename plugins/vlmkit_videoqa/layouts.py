"""Annotation layouts of open-ended video question answering, recognised by the keys of their entries.

| layout | files |
|---|---|
| questions with answers | a JSON list of `{question, answer, id, video, type?}`; also `question_id`, `video_name` |
| MSVD-QA | the same with a number as `video_id`, and a text file of lines `NAME vidNUMBER` that names the videos |
| Video-ChatGPT | a JSON list of `{question, question_id, video_name}` and one of `{answer, question_id, type?}` |
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmkit.api import DataError, Document, whole_text

__all__ = ["read_documents"]

_ID = ("id", "question_id")
_VIDEO = ("video", "video_name", "video_id")


def read_documents(files: Sequence[Path], given_types: bool) -> list[Document]:
    """The questions of annotation files, in the order of the file that holds them.

    With `given_types` the entries' own `type`, else the question's first word. A DataError, with file and entry, where
    a file is malformed, a question has no answer, or two have the same id.
    """
    lists = {file: _read_list(file) for file in files if file.suffix == ".json"}
    names = _video_names([file for file in files if file.suffix != ".json"])
    answers = _answers({file: rows for file, rows in lists.items() if not _has_questions(rows)})
    questions = {file: rows for file, rows in lists.items() if _has_questions(rows)}
    if len(questions) != 1:
        shown = ", ".join(map(str, files)) or "none"
        raise DataError(f"expected exactly one JSON file with questions, found {len(questions)} among: {shown}")
    [(file, rows)] = questions.items()
    documents = [
        _document(row, f"{file}, entry {number}", answers, names, given_types) for number, row in enumerate(rows)
    ]
    _check_ids(documents, file)
    return documents


def _read_list(file: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: expected a JSON list of questions or answers: {error}") from None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise DataError(
            f"{file}: expected a JSON list of objects with the keys question, answer, …; found another value"
        )
    return rows


def _has_questions(rows: Sequence[Mapping[str, Any]]) -> bool:
    return "question" in rows[0]


def _answers(lists: Mapping[Path, Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for file, rows in lists.items():
        for number, row in enumerate(rows):
            where = f"{file}, entry {number}"
            key = _field(row, _ID, where)
            if key in found:
                raise DataError(f"{where}: the id {key!r} stands there a second time")
            found[key] = row
    return found


def _video_names(files: Sequence[Path]) -> dict[str, str]:
    """`vidN` to the video's name, from MSVD's mapping."""
    names = {}
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{file}: expected lines of the form NAME vidNUMBER: {error}") from None
        for number, line in enumerate(lines, 1):
            words = line.split()
            if len(words) != 2:
                raise DataError(f"{file}, line {number}: expected NAME vidNUMBER, found {line!r}")
            names[words[1]] = words[0]
    return names


def _document(
    row: Mapping[str, Any],
    where: str,
    answers: Mapping[str, Mapping[str, Any]],
    names: Mapping[str, str],
    given_types: bool,
) -> Document:
    key = _field(row, _ID, where)
    if "answer" not in row and key not in answers:
        raise DataError(f"{where}: no file has an answer to question {key!r}; list the file with the answers too")
    merged = {**answers.get(key, {}), **row}
    question = _field(merged, ("question",), where)
    video = _field(merged, _VIDEO, where)
    if names:
        if f"vid{video}" not in names:
            raise DataError(f"{where}: video {video!r} is not in the mapping of names, which has {len(names)} videos")
        video = names[f"vid{video}"]
    words = question.lower().split()
    kind = _field(merged, ("type",), where) if given_types else words[0] if words else ""
    return Document(key, video, question, _field(merged, ("answer",), where), kind)


def _field(row: Mapping[str, Any], keys: Sequence[str], where: str) -> str:
    for key in keys:
        if row.get(key) is not None:
            return whole_text(str(row[key]), where)
    raise DataError(f"{where}: expected {' or '.join(map(repr, keys))}, found the keys {', '.join(row)}")


def _check_ids(documents: Sequence[Document], file: Path) -> None:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise DataError(f"{file}: the id {document.id!r} belongs to more than one question")
        seen.add(document.id)
