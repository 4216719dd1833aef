"""lmms-eval's rules for Video-MMMU: the parser of MMMU, for options and for numbers and words."""

from __future__ import annotations

import re

from vlmkit.api import Document, Reading
from vlmkit_extractors import _mmmu

__all__ = ["video_mmmu"]

_BEFORE_AN_ANSWER = (
    *("could be ", "so ", "is ", "thus ", "therefore ", "final ", "answer ", "result ", "are ", "in total ", "total "),
    *("identify ", "recognize ", "calculated as ", "counted as ", "measured as ", "observed as ", "concluded as "),
    *("found to be ", "equals ", "determined to be ", "number of ", "value is ", "adds up to ", "have ", "has "),
)
"""In the order in which they are tried; in the last line also `=`."""
_MARKS = (":", ",", ".", "!", "?", ";", "'")
_NUMBERS = (
    re.compile(r"-?\b\d{1,3}(?:,\d{3})+\b"),
    re.compile(r"-?(?<!\d)\d+(?:\.\d+)?[eE][+-]?\d+"),
    re.compile(r"-?(?:\d+\.\d+|\.\d+|\d+\b)(?![eE][+-]?\d+)(?![,\d])"),
)
"""With commas, with exponents, plain."""


def video_mmmu(document: Document, answer: str) -> Reading:
    """Apply the rule for questions with options, or the one for questions without. An empty answer is dropped."""
    if answer in ("", "API Error"):
        return Reading("dropped", why="empty" if not answer else "a failure of the API")
    return _mmmu.video_mmmu(document, answer) if document.options else _open(document, answer)


def _open(document: Document, answer: str) -> Reading:
    """Right where the end of a line contains the reference, or has it as a number, at two decimals.

    The end is what stands behind words like `is ` and `answer `; without any, the whole answer counts.
    """
    ends = _ends(answer.strip().strip(".").lower())
    found = {value for end in ends for text in (end, *_numbers(end)) for value in _values(text)}
    wanted = _values(document.answer)
    if not document.references:
        return Reading("read", why="no public answer")
    for value in wanted:
        if value in found or (isinstance(value, str) and any(value in text for text in found if isinstance(text, str))):
            return Reading("read", correct=True, why=f"says {str(value).strip()}")
    return Reading("read", correct=False, why="neither the number nor the words of the reference")


def _ends(text: str) -> list[str]:
    """Return the shortest end of each line behind one of the phrases; without any, the whole text."""
    *before, last = text.split("\n")
    ends = [_end(line, _BEFORE_AN_ANSWER) for line in before] + [_end(last, (*_BEFORE_AN_ANSWER, "="))]
    return [end for end in ends if end and end not in _MARKS] or [text]


def _end(line: str, phrases: tuple[str, ...]) -> str:
    shortest = ""
    for phrase in phrases:
        if phrase in line:
            end = line.rpartition(phrase)[2].strip()
            shortest = end if not shortest or len(end) < len(shortest) else shortest
    return shortest


def _numbers(text: str) -> list[str]:
    return [number for pattern in _NUMBERS for number in pattern.findall(text)]


def _values(text: str) -> list[str | float]:
    """Return the number that a text is, else the text in lower case; of one character with a blank on either side."""
    text = text.strip()
    try:
        return [round(float(text.replace(",", "")), 2)]
    except ValueError:
        lower = text.lower()
        return [f" {lower}", f"{lower} "] if len(lower) == 1 else [lower]
