"""The kind `judge`: whether a free-form answer is right."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from vlmkit.api.contract import Contract, ContractError, Promise, Promises, builds, check_number, check_text, type_name
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import PluginError

__all__ = ["Judge", "JudgeSpec", "Unscored", "Verdict"]


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
