"""The kind `judge`: whether a free-form answer is right."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from vlmkit.api.contract import (
    Contract,
    ContractError,
    Promise,
    Promises,
    builds,
    check_int,
    check_number,
    check_text,
    check_type,
    type_name,
    versioned,
)
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.api.spec import ComponentSpec
from vlmkit.errors import PluginError, UserError, shown
from vlmkit.guard import FAULTS, component_error, error_text, is_machine_error

__all__ = ["Judge", "JudgeEstimate", "JudgeSpec", "Unscored", "Verdict"]

_PASS = 3.0
"""Lowest score of a right answer, of 0 to 5."""


@dataclass(frozen=True)
class Verdict:
    """The judgment of one answer. It has a label, a score, or both."""

    correct: bool | None
    """None where the judge said neither right nor wrong: partially correct, or a score alone."""
    score: float | None = None
    """0 (wrong) to 5 (right), as the judges of the video-QA papers give it."""
    raw: str = ""
    """The judge's own words."""
    cost: float | None = 0.0
    """US dollars; None where the price is not known."""
    model: str = ""
    """The language model that judged, as its server reports it."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    seconds: float | None = None
    """Time from the request to the reply."""

    @property
    def contradicts(self) -> bool:
        """True where label and score disagree: right with a score below 3, or wrong with one of 3 or more."""
        if self.correct is None or self.score is None:
            return False
        return self.correct is not (self.score >= _PASS)


@dataclass(frozen=True)
class Unscored:
    """The judge failed on this one. It is not a wrong answer: it is counted apart and shown."""

    reason: str


@dataclass(frozen=True)
class JudgeEstimate:
    """Requests, tokens and money that judging some answers will take, known before anything is asked."""

    requests: int
    input_tokens: int
    output_tokens: int
    """At most."""
    cost: float | None
    """US dollars, with output tokens at most; None where the price is not known."""
    counted: str
    """How input tokens were counted."""


def _verdict(judge: object, answer: object, *_: object, **__: object) -> Verdict | Unscored:
    if isinstance(answer, Unscored):
        check_text(answer.reason, "an Unscored whose reason is")
        return answer
    if not isinstance(answer, Verdict):
        raise ContractError(f"gives {type_name(answer)}, expected a vlmkit.api.Verdict or Unscored")
    if answer.correct is not None and not isinstance(answer.correct, bool):
        raise ContractError(f"gives `correct` {type_name(answer.correct)}, expected a bool or None")
    if answer.correct is None and answer.score is None:
        raise ContractError("gives a Verdict without `correct` and score, expected one of them, or an Unscored")
    check_text(answer.raw, "`raw`")
    check_text(answer.model, "`model`")
    return replace(
        answer,
        score=_optional(answer.score, "the score", 0, 5),
        cost=_optional(answer.cost, "the cost", 0),
        seconds=_optional(answer.seconds, "the seconds", 0),
        input_tokens=_tokens(judge, answer.input_tokens),
        output_tokens=_tokens(judge, answer.output_tokens),
    )


def _optional(found: object, what: str, *ends: float) -> float | None:
    return None if found is None else check_number(found, what, *ends)


def _tokens(judge: object, found: object) -> int | None:
    return None if found is None else check_int(judge, found, least=0, what="the tokens ")


def _unscored(problem: PluginError, error: BaseException, *_: object, **__: object) -> Unscored:
    return Unscored(str(problem))


def _verdicts(judge: Judge, answer: object, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Any]]:
    """Check what is given while it comes. Every request has one verdict in the end, whatever the judge does."""
    check_type(answer, Iterable, "an iterator of (index, verdict)")
    return _checked(judge, answer, len(requests))


def _checked(judge: Judge, answer: Any, count: int) -> Iterator[tuple[int, Verdict | Unscored]]:
    missing = dict.fromkeys(range(count))
    reason = "the judge gave no verdict on this answer"
    try:
        for given in answer:
            index, verdict = _one(judge, given, count)
            if index not in missing:
                raise ContractError(f"gives two verdicts on request {index}, expected one of each")
            del missing[index]
            yield index, verdict
    except ContractError as error:
        raise component_error(judge, f"judge {error}") from None
    except FAULTS as error:
        if is_machine_error(error):
            raise
        said = f"judge raised {error_text(error)}"
        reason = str(error if isinstance(error, UserError) else component_error(judge, said))
    for index in missing:
        yield index, Unscored(reason)


def _one(judge: Judge, given: object, count: int) -> tuple[int, Verdict | Unscored]:
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[0], int) or not 0 <= given[0] < count:
        raise ContractError(f"gives {shown(given)}, expected (index of the request, verdict)")
    index, verdict = given
    try:
        return index, _verdict(judge, verdict)
    except ContractError as error:
        return index, Unscored(str(component_error(judge, f"judge {error}")))


def _none_judged(
    problem: PluginError, error: BaseException, requests: Sequence[JudgeRequest]
) -> Iterator[tuple[int, Unscored]]:
    return iter([(index, Unscored(str(problem))) for index in range(len(requests))])


def _estimate(judge: object, answer: object, requests: Sequence[JudgeRequest]) -> JudgeEstimate | None:
    return None if answer is None else check_type(answer, JudgeEstimate)


class Judge(Contract):
    """Compares an answer with the references. Where it fails, the question is unscored, never wrong.

    A judge that decides one answer at a time overrides `judge_one`; one that is faster with many overrides `judge`.
    """

    _promises: ClassVar[Promises] = {
        "judge": Promise(_verdicts, failed=_none_judged),
        "judge_one": Promise(_verdict, failed=_unscored),
        "estimate": Promise(_estimate),
    }

    version: str
    """Changes whenever verdicts may: model and rules of this judge. The prompt is a part of each request."""
    prompted: bool = False
    """True where it reads the prompts of requests, as language models do."""

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        """Yield (index of the request, verdict), one for each request, in any order, each as soon as it is there."""
        for index, request in enumerate(requests):
            yield index, self.judge_one(request)

    def judge_one(self, request: JudgeRequest) -> Verdict | Unscored:
        """Return the verdict on one answer."""
        raise NotImplementedError("a judge overrides judge_one or judge")

    def estimate(self, requests: Sequence[JudgeRequest]) -> JudgeEstimate | None:
        """Return what judging these will take; None where it costs nothing."""
        return None


class JudgeSpec(ComponentSpec):
    """Options of a judge."""

    kind: ClassVar[str] = "judge"
    _promises: ClassVar[Promises] = {"build": builds(f"{__name__}:Judge", versioned("a judge", "verdicts"))}

    @abstractmethod
    def build(self) -> Judge:
        """The judge."""
