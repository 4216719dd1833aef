"""lmms-eval's rule for Video-MMMU's questions without options, on invented answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlmkit.api import Document, Reading

Read = Callable[..., Reading]


@pytest.mark.parametrize(
    ("reference", "answer", "right"),
    [
        ("0.286", "0.29", True),
        ("0.286", "about 0.2861", True),
        ("0.286", "about 0.2861, I think", False),
        ("0.286", "0.3", False),
        ("1000", "So the result is 1,000.", True),
        ("1000", "1e3", True),
        ("1000", "1000 at first, so 900", False),
        ("1000", "First 1000\nthe answer is 7", False),
        ("1000", "it is 1000\nthe answer is 7", True),
        ("1000", "x = 1000", True),
        ("7", "x = 1000\ny = 7", True),
        ("1000", "x = 1000\ny is 7", False),
        ("-2", "1-2e0", True),
        ("12", "12,", True),
        ("13", "12,13", True),
        ("12", "12,13", False),
        ("A", "the answer is a", True),
        ("A", "the answer is ab", False),
        ("A", "a choice that fits", True),
        ("red kite", "It is the Red Kite.", True),
        ("red kite", "kite", False),
        ("red kite", "the answer is ?", False),
        ("7", "...", False),
        ("7", "nan", False),
        ("7", "9" * 400, False),
    ],
)
def test_the_end_of_a_line_decides(read: Read, reference: str, answer: str, right: bool) -> None:
    reading = read("lmms-eval-video-mmmu", Document("q", "v", "How many?", reference), answer)
    assert (reading.state, reading.correct) == ("read", right), reading


@pytest.mark.parametrize("answer", ["", "API Error"])
def test_an_empty_answer_is_dropped(read: Read, answer: str) -> None:
    assert read("lmms-eval-video-mmmu", Document("q", "v", "How many?", "7"), answer).state == "dropped"


def test_without_a_public_answer_nothing_is_right_or_wrong(read: Read) -> None:
    assert read("lmms-eval-video-mmmu", Document("q", "v", "How many?"), "7").correct is None
