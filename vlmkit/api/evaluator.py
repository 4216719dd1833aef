"""The kinds `evaluator` and `judge`: questions of a benchmark, their scores, and which answers are right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import ClassVar

from vlmkit.api.contract import (
    Contract,
    ContractError,
    Promise,
    Promises,
    builds,
    check_number,
    check_text,
    check_type,
    type_name,
)
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import PluginError, shown

__all__ = ["Document", "Evaluator", "EvaluatorSpec", "Judge", "JudgeSpec", "Unscored", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """The judgement of one prediction."""

    correct: bool
    score: float
    """0 (wrong) to 5 (right), as the judges of the video-QA papers give it."""
    raw: str = ""
    """The judge's own words."""
    cost: float = 0.0
    """US dollars."""


@dataclass(frozen=True)
class Unscored:
    """The judge failed on this one. It is not a wrong answer: it is counted apart and shown."""

    reason: str


def _verdict(judge: object, answer: object, *_: object, **__: object) -> Verdict | Unscored:
    if isinstance(answer, Unscored):
        check_text(answer.reason, "an Unscored whose reason is")
        return answer
    if not isinstance(answer, Verdict):
        raise ContractError(f"gives {type_name(answer)}, expected a vlmkit.api.Verdict or Unscored")
    if not isinstance(answer.correct, bool):
        raise ContractError(f"gives `correct` {type_name(answer.correct)}, expected a bool")
    check_text(answer.raw, "`raw`")
    score, cost = check_number(answer.score, "the score", 0, 5), check_number(answer.cost, "the cost", 0)
    return Verdict(answer.correct, score, answer.raw, cost)


def _unscored(problem: PluginError, error: BaseException) -> Unscored:
    return Unscored(str(problem))


def _version(spec: object, judge: Judge) -> Judge:
    if not check_text(getattr(judge, "version", None), "a judge whose `version` is"):
        raise ContractError("gives a judge whose `version` is empty; it changes whenever verdicts may")
    return judge


class Judge(Contract, ABC):
    """Compares a prediction with the reference answer. Where it fails, the question is unscored, never wrong."""

    _promises: ClassVar[Promises] = {"judge": Promise(_verdict, failed=_unscored)}

    version: str
    """Changes whenever verdicts may: model, prompt and rules of this judge."""

    @abstractmethod
    def judge(self, question: str, reference: str, prediction: str) -> Verdict | Unscored:
        """The verdict on one prediction."""


class JudgeSpec(ComponentSpec):
    """Options of a judge."""

    kind: ClassVar[str] = "judge"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Judge", _version)}

    @abstractmethod
    def build(self) -> Judge:
        """The judge."""
        raise NotImplementedError


@dataclass(frozen=True)
class Document:
    """One question of a benchmark."""

    id: str
    """Unique within the benchmark and split."""
    video: str
    """Name of the video, as the annotations have it; the benchmark says where its file lies."""
    question: str
    answer: str
    """The reference answer."""
    type: str
    """Question type, for the break-down of the scores."""


def _documents(evaluator: object, answer: object, files: Sequence[Path]) -> list[Document]:
    documents: list[Document] = check_type(answer, list, "a list of vlmkit.api.Document")
    place = ", ".join(map(str, files))
    if not documents:
        raise ContractError(f"gives no document of {place}, expected at least one")
    seen = set()
    for number, document in enumerate(documents):
        check_type(document, Document)
        for field in fields(Document):
            check_text(getattr(document, field.name), f"document {number} of {place} with `{field.name}`")
        if document.id in seen:
            raise ContractError(f"gives two documents with the id {document.id!r} of {place}, expected ids that differ")
        seen.add(document.id)
    return documents


def _prompt(evaluator: object, answer: object, document: Document) -> str:
    return check_text(answer, f"as the prompt of document {shown(document.id)}")


def _metrics(evaluator: object, answer: object) -> dict[str, tuple[float, float]]:
    ranges: dict[str, tuple[float, float]] = {}
    for name, found in check_type(answer, dict, "a dict of metric names and ranges").items():
        if not isinstance(found, tuple | list) or len(found) != 2:
            raise ContractError(f"gives {shown(found)} for {shown(name)}, expected a range: (lowest, highest)")
        low, high = (check_number(end, f"{shown(name)} a range with") for end in found)
        if not low < high:
            raise ContractError(f"gives {shown(name)} the range {shown(found)}, expected (lowest, highest)")
        ranges[check_text(name, "a metric name")] = low, high
    return ranges


def _score(evaluator: Evaluator, answer: object, document: Document, verdict: Verdict) -> dict[str, float]:
    values = check_type(answer, dict, "a dict of metric names and values")
    ranges = evaluator.metrics()
    if lacking := [name for name in ranges if name not in values]:
        raise ContractError(f"gives no {lacking[0]!r} for document {shown(document.id)}, which its metrics() has")
    where = f"for document {shown(document.id)}"
    return {name: check_number(values[name], f"{where} {name!r}", *ends) for name, ends in ranges.items()}


class Evaluator(Contract, ABC):
    """Documents, prompt, score and aggregate of one kind of benchmark."""

    _promises: ClassVar[Promises] = {
        "documents": Promise(_documents),
        "prompt": Promise(_prompt),
        "score": Promise(_score),
        "metrics": Promise(_metrics),
    }

    @abstractmethod
    def documents(self, files: Sequence[Path]) -> list[Document]:
        """Read annotation files whose checksums the harness has verified. A `DataError`, with file and entry, where
        they are malformed."""

    @abstractmethod
    def prompt(self, document: Document) -> str:
        """Return what the user says; `<video>` stands where the video goes."""

    @abstractmethod
    def score(self, document: Document, verdict: Verdict) -> dict[str, float]:
        """The values of one document, by metric name."""

    @abstractmethod
    def metrics(self) -> dict[str, tuple[float, float]]:
        """Metric names with their range (lowest, highest value). The aggregate of each is the mean over documents."""


class EvaluatorSpec(ComponentSpec):
    """Options of an evaluator."""

    kind: ClassVar[str] = "evaluator"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Evaluator")}

    @abstractmethod
    def build(self) -> Evaluator:
        """The evaluator."""
        raise NotImplementedError
