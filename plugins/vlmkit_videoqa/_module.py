"""The evaluator `open-ended-qa`: it reads these layouts of annotations, recognized by the keys of their entries.

| layout | files |
|---|---|
| questions with answers | `{question, answer, id, video, type?}`; also `question_id`, `video_name`, `video_id` |
| MSVD-QA | the same with a number as `video_id`, and a text file of lines `NAME vidNUMBER` that names the videos |
| Video-ChatGPT | `{question, question_id, video_name}` and, in a second file, `{answer, question_id, type?}` |

Entries are a JSON list or JSON lines. A question is text; id, video, answer and type are text or a whole number. A key
with `null` is as good as absent. Of several keys with one meaning the first that is there counts, in the order above.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmkit.api import (
    DataError,
    Document,
    Evaluator,
    Verdict,
    name_of,
    parse_rows,
    read_bytes,
    read_text,
    shown,
    text_of,
)

__all__ = ["OpenEndedQa"]

_ID = ("id", "question_id")
_VIDEO = ("video", "video_name", "video_id")
_EXPECTED = "questions or answers"
_LAYOUTS = (
    "expected questions as a JSON list or JSON lines of {id, video, question, answer}, or a text file with the names "
    "of MSVD's videos as lines of the form NAME vidNUMBER"
)
_NAMED = re.compile(r"(\S+)\s+(vid[0-9]+)")

_Row = Mapping[str, Any]
_Read = Callable[[object, str, str], str]


class OpenEndedQa(Evaluator):
    """Accuracy (0 or 1) and the judge's score (0 to 5)."""

    def __init__(self, prompt: str, *, given_types: bool) -> None:
        self._prompt = prompt
        self._given_types = given_types

    def documents(self, files: Sequence[Path]) -> list[Document]:
        """Return the questions of annotation files in one of the layouts above, in the order of the file with them.

        A DataError, with file and entry, where one is malformed, a question has no answer, or two have the same id.
        """
        questions: dict[Path, list[_Row]] = {}
        others: dict[Path, list[_Row]] = {}
        names: dict[str, str] = {}
        for file in files:
            content = read_bytes(file, _EXPECTED)
            if _is_json(content):
                rows = _rows(content, file)
                (questions if any("question" in row for row in rows) else others)[file] = rows
            else:
                _add_names(file, names)
        answers = _answers(others)
        if len(questions) != 1:
            among = ", ".join(map(str, files)) or "none"
            raise DataError(f"expected exactly one JSON file with questions, found {len(questions)} among: {among}")
        [(file, rows)] = questions.items()
        documents: dict[str, Document] = {}
        for number, row in enumerate(rows):
            where = f"{file}, entry {number}"
            document = _document(row, where, answers, names, self._given_types)
            if document.id in documents:
                first = list(documents).index(document.id)
                raise DataError(
                    f"{where}: the id {shown(document.id)} belongs to more than one question (entry {first})"
                )
            documents[document.id] = document
        return list(documents.values())

    def prompt(self, document: Document) -> str:
        """Return the prompt template with the question in it."""
        return self._prompt.replace("{question}", document.question)

    def score(self, document: Document, verdict: Verdict) -> dict[str, float]:
        """Return the judge's verdict as numbers. Of label and score one can stand for the other."""
        correct, score = verdict.correct, verdict.score
        if score is None:
            score = 5.0 if correct else 0.0
        return {"accuracy": float(correct is True), "score": score}

    def metrics(self) -> dict[str, tuple[float, float]]:
        """Return the ranges of the two."""
        return {"accuracy": (0.0, 1.0), "score": (0.0, 5.0)}


def _is_json(content: bytes) -> bool:
    """Decide by how it begins: no name of a video begins with a bracket, and no table with the first of its columns."""
    return content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"[", b"{"))


def _rows(content: bytes, file: Path) -> list[_Row]:
    rows = parse_rows(content, str(file), _EXPECTED)
    if not rows:
        raise DataError(f"{file}: expected a JSON list of {_EXPECTED}, found an empty one")
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(
                f"{file}, entry {number}: expected an object with the keys question, answer, …; found {shown(row)}"
            )
    return rows


def _answers(lists: Mapping[Path, Sequence[_Row]]) -> dict[str, _Row]:
    found: dict[str, _Row] = {}
    for file, rows in lists.items():
        for number, row in enumerate(rows):
            where = f"{file}, entry {number}"
            key = _field(row, _ID, where)
            if key in found:
                raise DataError(f"{where}: the id {shown(key)} stands there a second time")
            found[key] = row
    return found


def _add_names(file: Path, names: dict[str, str]) -> None:
    """Add the names of a mapping of MSVD, by `vidN`."""
    lines = [(n, line) for n, line in enumerate(read_text(file, _EXPECTED).split("\n"), 1) if line.strip()]
    if not lines:
        raise DataError(f"{file}: {_LAYOUTS}; the file is empty")
    for place, (number, line) in enumerate(lines):
        where = f"{file}, line {number}"
        match = _NAMED.fullmatch(line.strip())
        if match is None:
            expected = "expected NAME vidNUMBER" if place else _LAYOUTS
            raise DataError(f"{where}: {expected}; found {shown(line)}")
        name, video = match.groups()
        if names.setdefault(video, name) != name:
            raise DataError(f"{where}: {video} has two names, {shown(names[video])} and {shown(name)}; remove one")


def _document(
    row: _Row, where: str, answers: Mapping[str, _Row], names: Mapping[str, str], given_types: bool
) -> Document:
    key = _field(row, _ID, where)
    other = answers.get(key, {})
    if row.get("answer") is None and other.get("answer") is None:
        raise DataError(
            f"{where}: no file has an answer to question {shown(key)}; give it as `answer`, or list the file with the "
            "answers too"
        )
    if row.get("answer") is not None and other.get("answer", row["answer"]) not in (None, row["answer"]):
        raise DataError(
            f"{where}: question {shown(key)} has the answer {shown(row['answer'])} here and {shown(other['answer'])} "
            "in the file with the answers; remove one"
        )
    merged = {**other, **{name: value for name, value in row.items() if value is not None}}
    question = _field(merged, ("question",), where, text_of)
    video = _field(merged, _VIDEO, where)
    if names:
        if f"vid{video}" not in names:
            found = f"the mapping of names, which has {len(names)} videos"
            raise DataError(f"{where}: video {shown(video)} is not in {found}")
        video = names[f"vid{video}"]
    kind = _field(merged, ("type",), where) if given_types else question.lower().split()[0]
    return Document(key, video, question, _field(merged, ("answer",), where), kind)


def _field(row: _Row, keys: Sequence[str], where: str, read: _Read = name_of) -> str:
    """Return the first of these keys that the row has, as text; `read` checks its value."""
    key = next((key for key in keys if row.get(key) is not None), None)
    if key is None:
        raise DataError(f"{where}: expected {' or '.join(map(repr, keys))}, found the keys {', '.join(row)}")
    text = read(row[key], key, where)
    if not text.strip():
        raise DataError(f"{where}: `{key}` is empty; fill it in, or remove the entry")
    return text
