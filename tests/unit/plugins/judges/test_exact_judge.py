"""The judge `exact`."""

from __future__ import annotations

import pytest

from vlmkit.api import JudgeRequest, Verdict
from vlmkit_judges._module import normalize
from vlmkit_judges.spec import ExactSpec


def _judged(references: tuple[str, ...], answer: str) -> Verdict:
    verdict = ExactSpec().build().judge_one(JudgeRequest("who?", references, answer))
    assert isinstance(verdict, Verdict)
    return verdict


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Red", "red"),
        ("  the   Red-ball. ", "red ball"),
        ("A dog, an ape; the cat!", "dog ape cat"),
        ("theatre another", "theatre another"),
        ("don't", "dont"),
        ("snow_board", "snow board"),
        ("Straße", "strasse"),
        ("ﬁve", "five"),
        ("2.5", "2 5"),
        ("don\u2019t", "dont"),
        ("की", "की"),
        ("3 $ + 5 °", "3 5"),
        ("a red\u200bball", "red ball"),
        ("The", "the"),
        ("a", "a"),
        ("...", ""),
        ("", ""),
    ],
)
def test_normalize(text: str, expected: str) -> None:
    assert normalize(text) == expected


@pytest.mark.parametrize(
    ("reference", "prediction", "correct"),
    [("man", "A man.", True), ("man", "men", False), ("man", "the man runs", False), ("two", "", False)],
)
def test_verdicts(reference: str, prediction: str, correct: bool) -> None:
    verdict = _judged((reference,), prediction)
    assert verdict.correct is correct
    assert verdict.score == (5.0 if correct else 0.0)
    assert verdict.cost == 0


def test_the_verdict_shows_what_was_compared() -> None:
    assert _judged(("The Man",), "cat").raw == "'cat' != 'man'"
    assert _judged(("The Man", "a boy"), "cat").raw == "'cat' != 'man' or 'boy'"


def test_any_reference_will_do() -> None:
    verdict = _judged(("man", "boy"), "The boy")
    assert (verdict.correct, verdict.raw) == (True, "'boy' == 'boy'")
    assert _judged((), "").correct is False
