"""lmms-eval's rules for MMVU on invented answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vlmkit.api import Document, Reading

Read = Callable[..., Reading]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("C", "C"),
        ("so (c), I think", "C"),
        ("It is neither B nor D", "wrong"),
        ("This may be C or D", "right"),
        ("see a bird", "A"),
        ("two yellow cars.", "right"),
        ("a green car", "right"),
        ("Cars", "C"),
        ("\u0130B", "unreadable"),
        ("Green car", "C"),
        ("", "unreadable"),
        ("...", "unreadable"),
        ("xyz", "unreadable"),
    ],
)
def test_with_options_any_mention_counts(
    read: Read, short: Callable[[Reading], str], question: Document, answer: str, found: str
) -> None:
    reading = read("lmms-eval-mmvu", question, answer)
    assert short(reading) == found, reading


def test_the_article_is_right_where_a_is(read: Read, question: Document) -> None:
    assert read("lmms-eval-mmvu", replace(question, correct=0), "I see a bird").correct is True


@pytest.mark.parametrize(
    ("reference", "answer", "why"),
    [
        ("Depth-first search", "By depth-first  SEARCH, I think", "answer or reference contains the other"),
        ("Depth-first search", "search", "answer or reference contains the other"),
        ("Depth-first search", "", "empty"),
        ("x\u00b2", "it grows as x^2", "answer or reference contains the other"),
        ("3.14 m", "about 3.145", "the same first number"),
        ("a large red kite", "The kite, red, is large!", "all longer words of the reference"),
        ("time O(n log n) here and in each of all the cases", "O(n log n)?", "the same order of growth"),
        ("O(n)", "O(m)", ""),
        ("3 m", "a red kite", "all longer words of the reference"),
        ("one two three four five six", "six five four three two one", ""),
        ("red kite", "kite", "answer or reference contains the other"),
        ("red kite", "blue kite", ""),
    ],
)
def test_without_options_the_rest_goes_to_the_judge(read: Read, reference: str, answer: str, why: str) -> None:
    reading = read("lmms-eval-mmvu", Document("q", "v", "What is it?", reference), answer)
    expected = Reading("read", correct=True, why=why) if why else Reading("judge", why="no rule applies")
    assert reading == expected


def test_without_a_public_answer(read: Read) -> None:
    assert read("lmms-eval-mmvu", Document("q", "v", "What is it?"), "").state == "judge"
