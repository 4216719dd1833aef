"""The check of evaluators, which any plugin's tests can call."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Literal

import pytest

from vlmkit.api import DataError, Document, Evaluator, EvaluatorSpec, Prompt, Reading, Verdict
from vlmkit.testing import checks

CALLS = itertools.count()


class Length(Evaluator):
    """Counts characters."""

    judged = False

    def prompt(self, document: Document) -> Prompt | str:
        return f"<video>{document.question}"

    def read(self, document: Document, answer: str) -> Reading:
        return Reading("read", number=len(answer))

    def score(self, document: Document, reading: Reading, verdict: Verdict | None) -> Mapping[str, float | None]:
        return {"characters": reading.number}

    def metrics(self) -> dict[str, tuple[float, float]]:
        return {"characters": (0, 1e9)}


class WithoutVideo(Length):
    """Forgets the video."""

    def prompt(self, document: Document) -> Prompt | str:
        return document.question


class VideoAsSystem(Length):
    """Shows the video twice."""

    def prompt(self, document: Document) -> Prompt | str:
        return Prompt("<video>", "<video>")


class Refusing(Length):
    """Takes no document."""

    def prompt(self, document: Document) -> Prompt | str:
        raise DataError("no such question")


class Wavering(Length):
    """Reads differently each time."""

    def read(self, document: Document, answer: str) -> Reading:
        return Reading("read", number=next(CALLS))


class Judged(Length):
    """Leaves answers to a judge without saying so, as the default `read` does."""

    read = Evaluator.read


class Narrow(Length):
    """Gives values outside of its range."""

    def metrics(self) -> dict[str, tuple[float, float]]:
        return {"characters": (0, 1)}


class Empty(Length):
    """Measures nothing."""

    def metrics(self) -> dict[str, tuple[float, float]]:
        return {}


def _check(evaluator: type[Evaluator]) -> None:
    class MineSpec(EvaluatorSpec):
        type: Literal["mine"] = "mine"

        def build(self) -> Evaluator:
            return evaluator()

    (check,) = [check for check in checks("evaluator") if check.__name__ == "check_evaluator"]
    check(MineSpec())


def test_the_check_takes_an_honest_evaluator() -> None:
    _check(Length)


@pytest.mark.parametrize(
    ("evaluator", "said"),
    [
        (WithoutVideo, "expected <video> once, in the user's words"),
        (VideoAsSystem, "expected <video> once, in the user's words"),
        (Refusing, "it refuses every one of the documents"),
        (Wavering, "document 'choice', answer '': reads Reading"),
        (Judged, "gives the state judge for document 'choice', but its `judged` is false"),
        (Narrow, "gives document 'choice' the value of 'characters' 4.0, expected a number from 0 to 1"),
        (Empty, "has no metric"),
    ],
)
def test_the_check_finds_what_breaks_it(evaluator: Any, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        _check(evaluator)
