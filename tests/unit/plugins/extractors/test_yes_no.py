"""The extractor `yes-no`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vlmkit.api import Document, Reading

YES = Document("q", "v", "Does the kite fall?", "Yes.")


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("yes", True),
        ("Yes, the kite falls.", True),
        ("**Yes**", True),
        ("YES!</s>", True),
        ("The answer is yes", True),
        ("Answer: 'No'", False),
        ("no", False),
        ("No. It rises.", False),
        ("No, no kite is there", False),
        ("No it does not", False),
        ("No \N{EM DASH} it rises", False),
        ("<think>Yes? It falls.</think>\nNo", False),
        ("Yes, there is no wind.", True),
        ("", None),
        ("...", None),
        ("No kite is there", None),
        ("No one falls", None),
        ("None", None),
        ("Not really", None),
        ("Yesterday", None),
        ("yes and no", None),
        ("Yes or no?", None),
        ("I cannot say yes", None),
        ("The answer is not yes", None),
        ("It falls.", None),
        ("<think>Yes", None),
    ],
)
def test_readings(read: Callable[..., Reading], answer: str, found: bool | None) -> None:
    reading = read("yes-no", YES, answer)
    assert (reading.state, reading.correct) == (("unreadable", None) if found is None else ("read", found)), reading
    assert reading.why


def test_without_a_public_answer(read: Callable[..., Reading]) -> None:
    hidden = Document("q", "v", "Does it?")
    assert read("yes-no", hidden, "No.") == Reading("read", why="begins with no")
    options = Document("q", "v", "Does it?", options=("no", "yes"))
    assert read("yes-no", options, "No.") == Reading("read", 0, why="begins with no")
