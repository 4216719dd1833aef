"""Questions as they are put to a model, and its answers: the lines of `predictions.jsonl`.

An answer holds its whole question, so that it can be read, judged and scored again without the annotation files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field

from vlmkit.api.document import Document
from vlmkit.api.evaluator import Prompt
from vlmkit.evaluation.controls import Arrangement
from vlmkit.files import is_file, write_atomic
from vlmkit.json_files import Record, json_line, read_json_lines

__all__ = ["Answer", "AnswerFile", "Question", "document_fields", "kept_answers", "read_answers"]

_ALWAYS = ("id", "video", "question", "answer", "type")
_Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class Question:
    """One question as it is put to the model."""

    document: Document
    prompt: Prompt
    shown: str
    """Name of the video that is shown: the document's own, another one's for a control, or empty where none is."""
    path: Path | None
    """The video's file; None where there is none."""
    problem: str
    """Why there is no file."""
    fingerprint: str
    """Changes with all that the answer depends on."""
    max_new_tokens: int
    """Longest answer."""
    arrangement: Arrangement | None = None
    """How a control arranges the frames; None: as they are."""
    continuations: tuple[str, ...] = ()
    """The answers that the model chooses from by their log-likelihood; empty: it generates one."""

    def fields(self) -> dict[str, Any]:
        """Return the fields of an `Answer` to this question that the question decides."""
        own = document_fields(self.document)
        return own if self.shown == self.document.video else {**own, "shown": self.shown}


def document_fields(document: Document) -> dict[str, Any]:
    """Return what a line says of its question: five fields always, of the others those that say something."""
    plain = Document(document.id, document.video, document.question, document.answer, document.type)
    values = {field.name: getattr(document, field.name) for field in fields(document)}
    said = {name: value for name, value in values.items() if name in _ALWAYS or value != getattr(plain, name)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in said.items()}


class Answer(Record):
    """A question with the model's answer: a line of predictions.jsonl. The first fields are those of a `Document`."""

    id: str
    video: str
    question: str
    answer: str = ""
    """The reference answer."""
    type: str = ""
    references: list[str] = Field(default_factory=list)
    options: list[str] = Field(default_factory=list)
    correct: int | None = None
    task: str = ""
    group: str = ""
    span: Annotated[list[_Seconds], Field(min_length=2, max_length=2)] | None = None
    companion: str = ""
    tags: dict[str, str] = Field(default_factory=dict)
    shown: str | None = None
    """Name of the video that was shown, where it was another one, or empty where none was: in a control."""
    asked: str = ""
    """Fingerprint of all that the prediction depends on; empty: the answer was made elsewhere."""
    prediction: str | None
    """The model's answer; None where the question was skipped."""
    skipped: str | None = None
    """Why it was skipped."""
    logprobs: list[Annotated[float, Field(allow_inf_nan=False)]] | None = None
    """Log-likelihood of each option, where the model was asked for that."""

    @classmethod
    def to(
        cls,
        question: Question,
        prediction: str | None,
        problem: str | None = None,
        logprobs: Sequence[float] | None = None,
    ) -> Self:
        """Return the record of a question that was answered or, because of a problem with its video, skipped."""
        more: dict[str, Any] = {} if problem is None else {"skipped": problem}
        if logprobs is not None:
            more["logprobs"] = list(logprobs)
        return cls(**question.fields(), asked=question.fingerprint, prediction=prediction, **more)

    @property
    def document(self) -> Document:
        """The question as the annotations have it."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(Document)}
        values |= {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return Document(**values)


def read_answers(path: Path, *, mend: bool = False) -> dict[str, Answer]:
    """Return the answers of a file by id, of which the last line counts. A RunError where a line is malformed.

    With `mend` a torn last line, as a kill in the middle of a write leaves it, is cut off.
    """
    return {answer.id: answer for answer in read_json_lines(path, Answer, mend=mend)}


def kept_answers(path: Path) -> Path:
    """Return the file, beside one of answers, with those to questions that are not asked now: beyond a `limit`, say."""
    return path.with_name(f"{path.stem}.kept.jsonl")


class AnswerFile:
    """A JSON-lines file of answers, kept batch by batch so that an interrupted evaluation goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._kept = read_answers(kept_answers(path))
        self.answers = self._kept | read_answers(path, mend=True)
        """By id of the question."""

    def append(self, answers: Sequence[Answer]) -> None:
        """Add some answers, all in one go; they are on the disk when this returns."""
        text = "".join(json_line(answer.data()) for answer in answers)
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self.answers.update({answer.id: answer for answer in answers})

    def rewrite(self, questions: Sequence[Question]) -> None:
        """Leave just the answers to these questions, in this order, and let them say what the questions say.

        The others are put aside, so that they need not be asked again when they are wanted again.
        """
        said = {question.document.id: question.fields() for question in questions}
        others = {key: answer for key, answer in self.answers.items() if key not in said}
        if any(self._kept.get(key) != answer for key, answer in others.items()):
            self._kept |= others
            write_atomic(kept_answers(self.path), "".join(json_line(one.data()) for one in self._kept.values()))
        self.answers = {key: self.answers[key].model_copy(update=fields) for key, fields in said.items()}
        text = "".join(json_line(answer.data()) for answer in self.answers.values())
        if not is_file(self.path) or self.path.read_text(encoding="utf-8") != text:
            write_atomic(self.path, text)
