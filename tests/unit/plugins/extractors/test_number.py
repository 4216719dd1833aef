"""The extractor `number`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit.api import DataError, Document, Reading
from vlmkit.registry import registry

Read = Callable[..., Reading]
THREE = Document("q", "v", "How often does it turn?", "3")


STATED: dict[float, list[str]] = {
    0: ["zero"],
    1: ["once", "one", "One.", "one time"],
    2: ["twice", "2"],
    2.5: ["2.5 s"],
    3: [
        *(
            "3",
            "three",
            "Three.",
            "**3**",
            "3</s>",
            "#3",
            "3x",
            "thrice",
            "\uff13",
            "3.0",
            "about 3",
            "It turns 3 times.",
        ),
        *("It turns three times.", "The count is 3 (three).", "One man turns 3 times", "2 boats wait\nAnswer: 3"),
    ],
    21: ["twenty-one cars", "twenty one"],
    1000: ["1,000"],
    -3: ["-3"],
}
UNREADABLE = (
    *("", ".", "none", "several", "it turns", "the one", "no one", "3 or 4", "3-4", "3, 4", "3,4", "3/4", "1.2.3"),
    *("two men turn 3 times", "at least 3", "3 or more", "3+", "more than three", "two hundred", "not 3", "It isn't 3"),
    *("2nd", "MP3", "25%", "3:15", "9" * 400, "3 " * 200),
)


@pytest.mark.parametrize(
    ("answer", "found"),
    [(answer, value) for value, answers in STATED.items() for answer in answers]
    + [(answer, None) for answer in UNREADABLE],
)
def test_readings(read: Read, answer: str, found: float | None) -> None:
    reading = read("number", THREE, answer)
    assert (reading.state, reading.number) == (("unreadable", None) if found is None else ("read", found)), reading
    assert reading.correct is (None if found is None else found == 3)
    assert reading.why


def test_any_reference_counts(read: Read) -> None:
    either = Document("q", "v", "How often?", "3", references=("3", "4", "often"))
    assert [read("number", either, answer).correct for answer in ("three", "4", "5")] == [True, True, False]
    assert read("number", Document("q", "v", "How often?"), "4") == Reading("read", number=4.0, why="number 4")


def test_another_kind_of_question_is_refused(read: Read) -> None:
    with pytest.raises(DataError, match="question 'q': expected a number as its answer, found 'red'"):
        read("number", Document("q", "v", "What color?", "red"), "3")


@settings(deadline=None, derandomize=True, database=None)
@given(st.integers(-(10**9), 10**9), st.text(" .", max_size=3))
def test_every_whole_number_is_read(value: int, around: str) -> None:
    extractor = registry().get("extractor", "number").spec().build()
    for written in (str(value), f"{value:,}", f"The count is {value}"):
        assert extractor.read(THREE, f"{around}{written}{around}").number == value
