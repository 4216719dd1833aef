"""The kind `judge`: whether a free-form answer is right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from vlmkit.api.spec import ComponentSpec

__all__ = ["Judge", "JudgeSpec", "Unscored", "Verdict"]


@dataclass(frozen=True)
class Verdict:
    """What a judge says of one prediction."""

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


class Judge(ABC):
    """Compares a prediction with the reference answer."""

    version: str
    """Changes whenever verdicts may: model, prompt and rules of this judge."""

    @abstractmethod
    def judge(self, question: str, reference: str, prediction: str) -> Verdict | Unscored:
        """The verdict on one prediction."""


class JudgeSpec(ComponentSpec):
    """Options of a judge."""

    kind: ClassVar[str] = "judge"

    @abstractmethod
    def build(self) -> Judge:
        """The judge."""
        raise NotImplementedError
