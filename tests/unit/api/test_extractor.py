"""The contract of extractors, and the check that any plugin's tests can call."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Literal

import pytest

from vlmkit.api import DataError, Document, Extractor, ExtractorSpec, PluginError, Reading, random_option
from vlmkit.testing import check_extractor, checks

RIGHT = Document("q", "v", "Which?", "b", options=("a", "b"), correct=1)
HIDDEN = Document("q", "v", "Which?", options=("a", "b"))
COUNT = itertools.count()
OPEN = Document("q", "v", "How many?", "3")


class _Extractor(Extractor):
    version = "1"
    judged = True

    def __init__(self, rule: Callable[[Document, str], Any]) -> None:
        self.rule = rule

    def read(self, document: Document, answer: str) -> Reading:
        found: Reading = self.rule(document, answer)
        return found


def _spec(rule: Callable[[Document, str], Any], version: Any = "1") -> ExtractorSpec:
    class MineSpec(ExtractorSpec):
        type: Literal["mine"] = "mine"

        def build(self) -> Extractor:
            extractor = _Extractor(rule)
            extractor.version = version
            return extractor

    return MineSpec()


def _read(reading: Any, document: Document = RIGHT) -> Reading:
    return _spec(lambda *_: reading).build().read(document, "b")


@pytest.mark.parametrize("choice", [0, 1])
def test_right_follows_from_the_choice(choice: int) -> None:
    assert _read(Reading("read", choice)).correct is (choice == 1)
    assert _read(Reading("read", choice, choice == 1)).correct is (choice == 1)
    assert _read(Reading("random", choice)).correct is (choice == 1)
    assert _read(Reading("read", choice), HIDDEN).correct is None


def test_other_readings_pass_as_they_are() -> None:
    for reading in (Reading("unreadable", why="empty"), Reading("dropped"), Reading("judge")):
        assert _read(reading) == reading
    assert _read(Reading("read", number=3), OPEN) == Reading("read", number=3.0)
    assert _read(Reading("read", correct=True), OPEN).correct is True
    assert _read(Reading("read"), HIDDEN) == Reading("read")
    assert _spec(lambda *_: Reading("judge")).build().read(document=OPEN, answer="3") == Reading("judge")


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        ("B", "read gives a str, expected a vlmkit.api.Reading"),
        (None, "gives None (is a `return` missing?), expected a vlmkit.api.Reading"),
        (Reading("wrong"), "gives the state 'wrong', expected read, unreadable, dropped, random, judge"),  # type: ignore[arg-type]
        (Reading("read", 2), "gives the choice 2 for document 'q', expected a position among its 2 options"),
        (Reading("read", -1), "gives the choice -1 for document 'q'"),
        (Reading("read", True), "gives the choice True for document 'q'"),
        (Reading("read", 1.0), "gives the choice 1.0 for document 'q'"),  # type: ignore[arg-type]
        (Reading("read", 0, True), "gives choice 0 as True for document 'q', whose right option is 1"),
        (Reading("read", 0, 0), "gives `correct` 0 for document 'q', expected a bool or None"),  # type: ignore[arg-type]
        (Reading("read"), "gives the state read for document 'q' without a choice, `correct` or number"),
        (Reading("random"), "gives the state random for document 'q' without a choice"),
        (Reading("judge", 1), "gives the state judge for document 'q' together with a choice, `correct` or number"),
        (Reading("unreadable", correct=False), "gives the state unreadable for document 'q' together with"),
        (Reading("read", number=float("nan")), "gives `number` nan, expected a finite number"),
        (Reading("judge", why=None), "gives `why` None (is a `return` missing?), expected text"),  # type: ignore[arg-type]
    ],
)
def test_says_what_is_not_a_reading(reading: Any, said: str) -> None:
    with pytest.raises(PluginError) as caught:
        _read(reading)
    assert said in str(caught.value)


def test_what_it_raises_names_it() -> None:
    with pytest.raises(PluginError, match=r"extractor 'mine'.*read raised ZeroDivisionError"):
        _spec(lambda *_: 1 / 0).build().read(RIGHT, "b")


def test_only_an_extractor_that_says_so_leaves_answers_to_a_judge() -> None:
    extractor = _spec(lambda *_: Reading("judge")).build()
    extractor.judged = False
    with pytest.raises(PluginError, match="gives the state judge for document 'q', but its `judged` is false"):
        extractor.read(RIGHT, "b")


def test_a_choice_needs_options() -> None:
    with pytest.raises(PluginError, match="a choice for document 'q', which has no options; raise a DataError"):
        _read(Reading("read", 0), OPEN)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("", 'gives an extractor without `version`; write `version = "1"` and change it whenever readings may'),
        (None, "gives an extractor without `version`"),
        (3, "gives an extractor whose `version` is a int, expected text"),
    ],
)
def test_an_extractor_has_a_version(version: Any, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        _spec(lambda *_: Reading("judge"), version).build()


def test_options_are_drawn_evenly_and_repeatably() -> None:
    documents = [Document(f"q{number}", "v", "?", options=("a", "b", "c")) for number in range(300)]
    drawn = [random_option(document) for document in documents]
    assert drawn == [random_option(document) for document in documents]
    assert all(70 < drawn.count(option) < 130 for option in range(3))


def test_the_check_takes_an_honest_extractor() -> None:
    def rule(document: Document, answer: str) -> Reading:
        if len(document.options) < 3:
            raise DataError("three options at least")
        return Reading("read", len(answer) % 3)

    check_extractor(_spec(rule))


def _refuses(document: Document, answer: str) -> Reading:
    raise DataError("no such question")


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda document, answer: Reading("judge", why=str(next(COUNT))), "reads Reading"),
        (_refuses, "it refuses every one of the documents"),
        (lambda document, answer: Reading("read", 0), "which has no options; raise a DataError"),
        (lambda document, answer: Reading("judge", why=answer[0]), "raised IndexError"),
    ],
)
def test_the_check_finds_what_breaks_it(rule: Callable[[Document, str], Any], said: str) -> None:
    (check,) = [check for check in checks("extractor") if check.__name__ == "check_extractor"]
    with pytest.raises(AssertionError, match=said):
        check(_spec(rule))
