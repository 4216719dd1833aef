"""Answer files of authors: NExT-QA (HGA, HQGA), TreeVideoAgent, VNBench, EventHallusion.

Sources: the files of doc-doc/NExT-QA, doc-doc/NExT-OE, doc-doc/HQGA, fansunqi/TreeVideoAgentPublic, joez17/VideoNIAH
and Stevetich/EventHallusion.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any

from vlmkit.answers.content import AnswerContent
from vlmkit.answers.imported import ImportedAnswer, answer_text, letter, text_at
from vlmkit.api.document import Document
from vlmkit.errors import DataError, as_written
from vlmkit.json_files import text_of

__all__ = [
    "is_event_hallusion", "is_indexed", "is_texts_by_video", "is_tree_video_agent", "is_vnbench",
    "read_event_hallusion", "read_indexed", "read_texts_by_video", "read_tree_video_agent", "read_vnbench",
]  # fmt: skip

_OPTION = re.compile(r"^([A-Z])\. (.*)$", re.MULTILINE)


def _entries(content: AnswerContent) -> list[Any]:
    return list(content.value.values()) if isinstance(content.value, dict) else []


def _all_have(content: AnswerContent, *keys: str) -> bool:
    entries = _entries(content)
    return bool(entries) and all(isinstance(entry, dict) and set(keys) <= set(entry) for entry in entries)


def is_indexed(content: AnswerContent) -> bool:
    """Return whether this is HGA's or HQGA's `{id: {prediction: 1, answer: 4}}`."""
    return _all_have(content, "prediction", "answer")


def read_indexed(content: AnswerContent, vocabulary: Sequence[str] = ()) -> Iterator[ImportedAnswer]:
    """Yield answers that are given by number: positions of options from 0 or, with a vocabulary, of its words from 1.

    Number 0 of a vocabulary is an answer outside of it: it is no answer.
    """
    for key, entry in content.value.items():
        where = f"{content.where}: {key}"
        given, reference = (_said(entry[name], vocabulary, where) for name in ("prediction", "answer"))
        video, _, question = key.rpartition("_")
        document = Document(key, video if question.isdigit() else "", "", reference or "")
        yield ImportedAnswer(document, given, None, where)


def _said(number: object, vocabulary: Sequence[str], where: str) -> str | None:
    if not vocabulary:
        try:
            return letter(number, where)
        except DataError as error:
            if isinstance(number, int) and number >= 26:
                raise DataError(f"{error}, or give the words that these numbers stand for with --vocabulary") from None
            raise
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= len(vocabulary):
        expected = f"the number of one of {len(vocabulary)} words, or 0"
        raise DataError(
            f"{where}: expected {expected}, found {as_written(number)}; is this the vocabulary of the file?"
        )
    return vocabulary[number - 1] if number else None


def is_texts_by_video(content: AnswerContent) -> bool:
    """Return whether this is NExT-OE's `{video: {question: "answer"}}`."""
    entries = _entries(content)
    return bool(entries) and all(
        isinstance(entry, dict)
        and entry
        and all(isinstance(text, str) and key.isdigit() for key, text in entry.items())
        for entry in entries
    )


def read_texts_by_video(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answers, with VIDEO_QUESTION as id."""
    for video, texts in content.value.items():
        for number, text in texts.items():
            key = f"{video}_{number}"
            yield ImportedAnswer(Document(key, video, ""), text, None, f"{content.where}: {key}")


def is_tree_video_agent(content: AnswerContent) -> bool:
    """Return whether this is TreeVideoAgent's `{id: {answer: 3, label: 3, …}}`."""
    return _all_have(content, "answer", "label")


def read_tree_video_agent(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answers, which are positions of options, as letters; a video has one question."""
    for key, entry in content.value.items():
        where = f"{content.where}: {key}"
        reference = letter(entry["label"], where) or ""
        yield ImportedAnswer(Document(key, key, "", reference), letter(entry["answer"], where), None, where)


def is_vnbench(content: AnswerContent) -> bool:
    """Return whether rows have a video, a number of the try, the right letter and the answer."""
    rows = content.rows()
    return bool(rows) and all({"video_path", "try", "pred", "gt", "prompt", "task_type"} <= set(row) for row in rows)


def read_vnbench(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answers; the tries of a question, with rotated options, are a group. Options stand in the prompt."""
    for number, row in enumerate(content.rows()):
        where = content.place(number)
        options = dict(_OPTION.findall(text_of(row["prompt"], "prompt", where)))
        video, right = PurePosixPath(text_of(row["video_path"], "video_path", where)).stem, row["gt"]
        if not isinstance(right, str) or right not in options:
            raise DataError(f"{where}: expected in `gt` the letter of an option, found {as_written(right)}; correct it")
        kind = text_of(row["task_type"], "task_type", where)
        document = Document(
            id=f"{video}/{text_at(row, 'try', where)}",
            video=video,
            question=text_of(row["prompt"], "prompt", where),
            answer=options[right],
            type=kind,
            options=tuple(options.values()),
            correct=list(options).index(right),
            task=kind,
        )
        yield ImportedAnswer(document, answer_text(row["pred"], where), None, where)


def is_event_hallusion(content: AnswerContent) -> bool:
    """Return whether this is `{part: {id: {qa: [{question, answer, prediction}, …], …}}}`."""
    parts = _entries(content)
    return bool(parts) and all(
        isinstance(part, dict) and part and all(_has_questions(entry) for entry in part.values()) for part in parts
    )


def _has_questions(entry: object) -> bool:
    asked = entry.get("qa") if isinstance(entry, dict) else None
    return isinstance(asked, list) and all(isinstance(one, dict) for one in asked)


def read_event_hallusion(content: AnswerContent) -> Iterator[ImportedAnswer]:
    """Yield the answers to the yes-or-no questions; descriptions, and what a judge says of them, are passed over."""
    for part, entries in content.value.items():
        for key, entry in entries.items():
            for number, asked in enumerate(entry["qa"]):
                where = f"{content.where}: {key}, question {number + 1}"
                question, reference = (text_of(asked.get(name), name, where) for name in ("question", "answer"))
                document = Document(f"{key}/{number}", key, question, reference, part)
                yield ImportedAnswer(document, answer_text(asked.get("prediction"), where), None, where)
