"""The kind `evaluator`: how the questions of a benchmark are read, put and scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.api.contract import Contract, ContractError, Promise, Promises, builds, check_number, check_text, check_type
from vlmkit.api.document import Document, check_document
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


def _documents(evaluator: object, answer: object, files: Sequence[Path]) -> list[Document]:
    documents: list[Document] = check_type(answer, list, "a list of vlmkit.api.Document")
    place = ", ".join(map(str, files))
    if not documents:
        raise ContractError(f"gives no document of {place}, expected at least one")
    seen = set()
    for number, document in enumerate(documents):
        check_document(document, f"document {number} of {place}")
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
