"""Where an answer has the texts of options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from vlmkit_extractors._marks import unmarked

__all__ = ["ENDS", "Span", "lowered", "option_texts", "text_spans"]

ENDS = " .,;:!?\"'()[]"
"""Characters that do not count at the ends of a text."""
_SHORTEST = 3
"""Characters from which on a text is looked for within an answer: `no` or `up` may mean anything there."""


class Span(NamedTuple):
    """A place in an answer that has the text of an option."""

    start: int
    end: int
    option: int


def lowered(text: str) -> str:
    """Return an unmarked text in lower case and one line, as long as before."""
    lower = text.lower()
    if len(lower) != len(text):
        lower = "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
    return lower.replace("\n", " ")


def option_texts(options: Sequence[str]) -> list[str]:
    """Return the texts of options as they are compared: unmarked, lower case, without punctuation at the ends."""
    return [lowered(unmarked(option)).strip(ENDS) for option in options]


def text_spans(lower: str, texts: Iterable[tuple[int, str]], most: int) -> list[Span]:
    """Return where whole texts of options stand in a lowered answer, of each the first so many places; none that lies
    within a longer one."""
    spans = sorted(
        (span for option, text in texts for span in islice(_places(lower, option, text), most)),
        key=lambda span: (span.start, -span.end),
    )
    outer: list[Span] = []
    for span in spans:
        if not outer or span.end > outer[-1].end or span[:2] == outer[-1][:2]:
            outer.append(span)
    return outer


def _places(lower: str, option: int, text: str) -> Iterator[Span]:
    start = lower.find(text) if len(text) >= _SHORTEST or text.isdecimal() else -1
    while start >= 0:
        end = start + len(text)
        if not (lower[start - 1 : start].isalnum() or lower[end : end + 1].isalnum()):
            yield Span(start, end, option)
        start = lower.find(text, end)
