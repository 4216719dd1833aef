"""Tables with an answer a row: plain ones, and those of Video-LLaVA, MLVU, VLMEvalKit, scalegrid.

Columns are found by the names that these tools give them. What is no column of ours becomes a tag of the question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from vlmkit.answers.content import AnswerContent
from vlmkit.answers.imported import ImportedAnswer, StoredVerdict, answer_text, text_at
from vlmkit.api.document import Document
from vlmkit.errors import DataError, did_you_mean
from vlmkit.json_files import name_of

__all__ = ["is_grid", "is_table", "read_grid", "read_table"]

_IDS = ("id", "question_id", "qid", "index", "sample_id")
_ANSWERS = ("prediction", "pred", "response", "output", "answer", "option")
"""`answer` is the reference answer where one of the names before it is there too, as in merge.jsonl."""
_REFERENCES = ("reference", "gt", "target", "answer")
_TYPES = ("question_type", "task_type", "type", "category", "task")
_VIDEOS = ("video", "video_id", "video_name", "video_path")
_LETTERS = tuple("ABCDEFGHIJ")
_LONGEST_TAG = 100
"""Characters; longer columns are logs of a tool, which no break-down needs."""


def is_table(content: AnswerContent) -> bool:
    """Return whether every row has an id and an answer."""
    rows = content.rows()
    return bool(rows) and all(_first(row, _IDS) and _first(row, _ANSWERS) for row in rows)


def read_table(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answer of each row. A DataError where a value is none that its column can have."""
    for number, row in enumerate(content.rows()):
        yield _answer(row, content.place(number), blank=bool(content.columns))


def _answer(row: Mapping[str, Any], where: str, *, blank: bool) -> ImportedAnswer:
    """`blank`: an empty cell of a table is no answer, as an empty text in JSON is not."""
    key, column = _first(row, _IDS), _first(row, _ANSWERS)
    reference = _first({name: row[name] for name in row if name != column}, _REFERENCES)
    video, kind = _first(row, _VIDEOS), _first(row, _TYPES)
    options = [name for name in _LETTERS if name in row and row[name] not in ("", None)]
    text = answer_text(row[column], f"{where}: `{column}`")
    own = {key, column, reference, video, kind, "question", *options}
    document = Document(
        id=name_of(row[key], key, where),
        video="" if not video else name_of(row[video], video, where),
        question=text_at(row, "question", where),
        answer=text_at(row, reference, where),
        type=text_at(row, kind, where),
        options=tuple(text_at(row, name, where) for name in options),
        tags={name: text_at(row, name, where) for name in row if name not in own and _is_tag(row[name])},
    )
    return ImportedAnswer(document, None if blank and text == "" else text, _hit(row, text, where), where)


def _hit(row: Mapping[str, Any], answer: str | None, where: str) -> StoredVerdict | None:
    """Return what VLMEvalKit's table says: `hit` or `score` 1 right, 0 wrong, -1 not scored; `log` in its own words."""
    found = next((str(row[name]) for name in ("hit", "score") if name in row and "prediction" in row), "")
    right = {"1": True, "1.0": True, "True": True, "0": False, "0.0": False, "False": False}.get(found)
    return None if right is None else StoredVerdict("", right, raw=text_at(row, "log", where), judged=answer or "")


def is_grid(content: AnswerContent) -> bool:
    """Return whether this is scalegrid's wide table: a `sample_id`, and a column of answers for each setting."""
    return content.columns[:1] == ("sample_id",) and not _first(content.rows()[0], _ANSWERS)


def read_grid(content: AnswerContent, column: str) -> Iterator[ImportedAnswer]:
    """Yield the answers of one setting; an empty cell is no answer. A DataError where there is no such column."""
    settings = content.columns[1:]
    if column not in settings:
        found = f"found {column!r}, {did_you_mean(column, settings)}" if column else ""
        raise DataError(
            f"{content.where}: this table has the answers of {len(settings)} settings; name one of them with --column: "
            f"{', '.join(settings)}{'; ' if found else ''}{found}"
        )
    for number, row in enumerate(content.rows()):
        document = Document(id=row["sample_id"], video=row["sample_id"].partition("-")[0], question="")
        yield ImportedAnswer(document, row[column] or None, None, content.place(number))


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return next((name for name in names if name in row), "")


def _is_tag(value: object) -> bool:
    return isinstance(value, str | int | float) and len(str(value)) <= _LONGEST_TAG
