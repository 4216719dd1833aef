"""The kind `evaluator`: how the questions of a benchmark are read, put and scored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from vlmkit.api.judge import Verdict
from vlmkit.api.spec import ComponentSpec

__all__ = ["Document", "Evaluator", "EvaluatorSpec"]


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


class Evaluator(ABC):
    """Documents, prompt, score and aggregate of one kind of benchmark."""

    @abstractmethod
    def documents(self, files: Sequence[Path]) -> list[Document]:
        """Read annotation files whose checksums the harness has verified. A `DataError`, with file and entry, where
        they are malformed."""

    @abstractmethod
    def prompt(self, document: Document) -> str:
        """What the user says; `<video>` stands where the video goes."""

    @abstractmethod
    def score(self, document: Document, verdict: Verdict) -> dict[str, float]:
        """The values of one document, by metric name."""

    @abstractmethod
    def metrics(self) -> dict[str, tuple[float, float]]:
        """Metric names with their range (lowest, highest value). The aggregate of each is the mean over documents."""


class EvaluatorSpec(ComponentSpec):
    """Options of an evaluator."""

    kind: ClassVar[str] = "evaluator"

    @abstractmethod
    def build(self) -> Evaluator:
        """The evaluator."""
        raise NotImplementedError
