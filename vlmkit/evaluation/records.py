"""The records of an evaluation, and the only readers and writers of their files.

    eval/BENCHMARK/predictions.jsonl, blind_predictions.jsonl    one `Answer` a line, kept by an `AnswerFile`
    eval/BENCHMARK/result.json                                   a `BenchmarkResult`
    eval/BENCHMARK/untold.json                                   the observers that have not heard of the result yet

Files are read into records once, with strict types. What a file holds beside the fields of its record is kept.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from vlmkit.api.document import Document
from vlmkit.api.judge import Unscored, Verdict
from vlmkit.errors import RunError
from vlmkit.files import is_file, write_atomic
from vlmkit.json_files import is_present, json_line, read_json_lines, read_record, write_record
from vlmkit.manifest import Checksum, check_files

__all__ = [
    "AnnotationsUsed", "Answer", "AnswerFile", "BenchmarkResult", "Conditions", "Decoding", "JudgeName", "JudgedAnswer",
    "Metric", "Question", "Scores", "TypeScores", "read_answers", "read_pending", "read_result", "release_answers",
    "write_pending", "write_result",
]  # fmt: skip

_PENDING = "untold.json"
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Value = Annotated[float, Field(allow_inf_nan=False)]


@dataclass(frozen=True)
class Question:
    """One question as it is put to the model."""

    document: Document
    prompt: str
    """Holds `<video>` once, where the video goes."""
    shown: str
    """Name of the video that is shown: the document's own, or another one's for the blind control."""
    path: Path | None
    """The video's file; None where there is none."""
    problem: str
    """Why there is no file."""
    fingerprint: str
    """Changes with all that the answer depends on."""

    def fields(self) -> dict[str, str]:
        """Return the fields of an `Answer` to this question that the question decides."""
        own = {name: getattr(self.document, name) for name in ("id", "video", "question", "answer", "type")}
        return own if self.shown == self.document.video else {**own, "shown": self.shown}


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    def data(self) -> dict[str, Any]:
        """Return plain data for JSON: what was set, in the order of the fields."""
        return self.model_dump(exclude_unset=True)


class Answer(_Record):
    """A question with the model's answer: a line of predictions.jsonl."""

    id: str
    video: str
    question: str
    answer: str
    """The reference answer."""
    type: str
    shown: str | None = None
    """Name of the video that was shown, where it was another one: in the blind control."""
    asked: str
    """Fingerprint of all that the prediction depends on."""
    prediction: str | None
    """The model's answer; None where the question was skipped."""
    skipped: str | None = None
    """Why it was skipped."""

    @classmethod
    def to(cls, question: Question, prediction: str | None, problem: str | None = None) -> Self:
        """Return the record of a question that was answered or, because of a problem with its video, skipped."""
        skipped = {} if problem is None else {"skipped": problem}
        return cls(**question.fields(), asked=question.fingerprint, prediction=prediction, **skipped)


class JudgedAnswer(Answer):
    """An answer with the judge's verdict."""

    verdict: Verdict | Unscored | None = None
    """None where the question was skipped."""

    @property
    def correct(self) -> bool | None:
        """None where the question was skipped or the judge failed."""
        return self.verdict.correct if isinstance(self.verdict, Verdict) else None

    @property
    def unscored(self) -> str | None:
        """Why the judge failed; None where it did not."""
        return self.verdict.reason if isinstance(self.verdict, Unscored) else None


class Metric(_Record):
    """A mean over questions with its 95% interval."""

    value: _Value
    ci95: Annotated[list[_Value], Field(min_length=2, max_length=2)]
    """Lower and upper end."""


class TypeScores(_Record):
    """The scores of one question type."""

    n: _Count
    metrics: dict[str, Metric]
    """By name; empty where no question was scored."""


class Scores(_Record):
    """The scores of a set of questions."""

    n: _Count
    """How many questions were scored and make up the metrics."""
    skipped: _Count = 0
    """How many were left out because their video is unreadable."""
    unscored: _Count = 0
    """How many answers the judge failed on."""
    metrics: dict[str, Metric]
    by_type: dict[str, TypeScores]


class FileUsed(_Record):
    """An annotation file."""

    path: str
    """As the spec has it."""
    sha256: str


class AnnotationsUsed(_Record):
    """Where the questions of a result come from: annotation files, or a dataset with its options."""

    files: list[FileUsed] | None = None
    dataset: dict[str, Any] | None = None
    registered: bool = True
    """True where these are the registry's own."""


class Decoding(_Record):
    """How answers are generated."""

    greedy: bool
    max_new_tokens: int
    batch_size: int
    """Questions per forward pass, as the spec has it. No answer depends on it, but for rounding."""


class JudgeName(_Record):
    """The judge that the verdicts are stored under."""

    name: str
    version: str
    """Its own version and its package."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


class Conditions(_Record):
    """All that a result depends on, known before anything is asked."""

    benchmark: str
    version: str
    """Of the benchmark's entry in the registry."""
    split: str
    limit: _Count | None = None
    """Only the first so many questions."""
    annotations: AnnotationsUsed | None = None
    asked: str = ""
    """Fingerprint of all questions as they are put to the model."""
    model_sha256: str = ""
    decoding: Decoding | None = None
    judge: JudgeName
    components: dict[str, str] = {}
    """Package and version of each component that takes part, by `kind/name`."""


class _Pending(_Record):
    plugins: list[str]


class BenchmarkResult(Scores, Conditions):
    """The content of result.json."""

    skipped: _Count
    unscored: _Count
    blind: Scores | None = None
    """The same questions, asked about another clip's video."""
    files: dict[str, Checksum] = {}
    """Of answers, by name."""
    counting: str = ""
    seconds: float = 0.0
    """Time of the last run, which may have found answers of an earlier one."""
    spec_sha256: str
    plugins: dict[str, str] = {}
    """Package of each plugin that was loaded."""
    vlmkit_version: str = ""


def read_result(path: Path) -> BenchmarkResult:
    """Return the content of a result.json.

    A RunError where it is malformed, or the answers beside it are not those that it sums up. Answers that are gone are
    no damage: the result stands without them.
    """
    result = read_record(path, BenchmarkResult, "remove the file and run `vlmkit eval`: the answers beside it are kept")
    answers = {name: entry for name, entry in result.files.items() if is_file(path.parent / name)}
    anew = f"remove {path.name} there and run `vlmkit eval`: what is missing or changed is asked again"
    check_files(path.parent, answers, anew, RunError)
    return result


def write_result(path: Path, result: BenchmarkResult) -> None:
    """Write a result.json with its checksum, whole or not at all."""
    write_record(path, result.data())


def release_answers(path: Path) -> None:
    """Let the answers beside a result be written anew: it stands until another takes its place, and not for them."""
    if is_file(path) and "files" in (result := read_record(path, BenchmarkResult)).model_fields_set:
        write_record(path, result.model_dump(exclude_unset=True, exclude={"files"}))


def read_pending(folder: Path) -> list[str]:
    """Return the plugins that have not heard of the result in a folder yet."""
    file = folder / _PENDING
    return read_record(file, _Pending).plugins if is_present(file) else []


def write_pending(folder: Path, plugins: list[str]) -> None:
    """Note the plugins that have not heard of the result in a folder yet."""
    if plugins:
        folder.mkdir(parents=True, exist_ok=True)
        write_record(folder / _PENDING, _Pending(plugins=plugins).data())
    else:
        (folder / _PENDING).unlink(missing_ok=True)


def read_answers(path: Path, *, mend: bool = False) -> dict[str, Answer]:
    """Return the answers of a file by id, of which the last line counts. A RunError where a line is malformed.

    With `mend` a torn last line, as a kill in the middle of a write leaves it, is cut off.
    """
    return {answer.id: answer for answer in read_json_lines(path, Answer, mend=mend)}


class AnswerFile:
    """A JSON-lines file of answers, kept batch by batch so that an interrupted evaluation goes on where it stopped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.answers = read_answers(path, mend=True)
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
        """Leave just the answers to these questions, in this order, and let them say what the questions say."""
        said = {question.document.id: question.fields() for question in questions}
        self.answers = {key: self.answers[key].model_copy(update=fields) for key, fields in said.items()}
        text = "".join(json_line(answer.data()) for answer in self.answers.values())
        if self.path.read_text(encoding="utf-8") != text:
            write_atomic(self.path, text)
