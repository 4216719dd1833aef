"""The kind `evaluator`: how the questions of a benchmark are read, put and scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from vlmkit.api.document import Document
from vlmkit.api.extractor import Reading, check_reading
from vlmkit.api.judge import Verdict
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import shown

__all__ = ["Evaluator", "EvaluatorSpec", "Prompt"]


@dataclass(frozen=True)
class Prompt:
    """How a question is put to a model."""

    user: str
    """The user's words; `<video>` stands in them once, where the video goes."""
    system: str = ""
    """The system message; empty: none."""
    reply: str = ""
    """Words that the model's reply is made to begin with; they are no part of its answer."""


def _prompt(evaluator: object, answer: object, document: Document) -> Prompt:
    what = f"as the prompt of document {shown(document.id)}"
    if not isinstance(answer, Prompt):
        return Prompt(check_text(answer, what))
    for text in (answer.user, answer.system, answer.reply):
        check_text(text, what)
    return answer


def _continuations(evaluator: object, answer: object, document: Document) -> tuple[str, ...]:
    if not isinstance(answer, tuple | list):
        raise ContractError(f"gives {type_name(answer)}, expected a tuple of texts")
    return tuple(check_text(text, f"a continuation for document {shown(document.id)}") for text in answer)


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


def _score(
    evaluator: Evaluator, answer: object, document: Document, reading: Reading, verdict: Verdict | None
) -> dict[str, float | None]:
    values = check_type(answer, dict, "a dict of metric names and values")
    ranges = evaluator.metrics()
    if lacking := [name for name in ranges if name not in values]:
        raise ContractError(f"gives no {lacking[0]!r} for document {shown(document.id)}, which its metrics() has")
    where = f"document {shown(document.id)} the value of"
    return {
        name: None if values[name] is None else check_number(values[name], f"{where} {name!r}", *ends)
        for name, ends in ranges.items()
    }


class Evaluator(Contract, ABC):
    """How the questions of one kind of benchmark are put, read and scored."""

    _promises: ClassVar[Promises] = {
        "prompt": Promise(_prompt),
        "continuations": Promise(_continuations),
        "read": Promise(check_reading),
        "score": Promise(_score),
        "metrics": Promise(_metrics),
    }

    judged: bool = True
    """False where `read` never leaves an answer to a judge."""

    @abstractmethod
    def prompt(self, document: Document) -> Prompt | str:
        """Return how a question is put: a `Prompt`, or just the user's words; `<video>` stands where the video goes."""

    def continuations(self, document: Document) -> Sequence[str]:
        """Return the answers that the model chooses from by their log-likelihood; empty: it generates one."""
        return ()

    def read(self, document: Document, answer: str) -> Reading:
        """Return how an answer is read. By default a judge decides about all."""
        return Reading("judge")

    @abstractmethod
    def score(self, document: Document, reading: Reading, verdict: Verdict | None) -> Mapping[str, float | None]:
        """Return the values of one answer by metric; None where it says nothing about a metric.

        Args:
            document: the question.
            reading: how the answer was read. Those in the state `dropped`, and those that the judge failed on, are not
                scored.
            verdict: the judge's verdict, where the state is `judge`.
        """

    @abstractmethod
    def metrics(self) -> dict[str, tuple[float, float]]:
        """Return the names of the metrics with their range (lowest, highest value)."""


class EvaluatorSpec(ComponentSpec):
    """Options of an evaluator."""

    kind: ClassVar[str] = "evaluator"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Evaluator")}

    @abstractmethod
    def build(self) -> Evaluator:
        """The evaluator."""
