"""lmms-eval's rules for MMVU: with options an answer is right or wrong by them, without right, or a judge decides."""

from __future__ import annotations

import re
from string import punctuation

from vlmkit.api import Document, Reading
from vlmkit_extractors._choices import accepting

__all__ = ["mmvu"]

_ALONE = re.compile(r"\b[a-z]\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d+\.?\d*")
_ORDER = re.compile(r"o\s*\([^)]+\)")
_POWERS = str.maketrans({digit: f"^{number}" for number, digit in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")})
_NEAR = 0.01
_SHORT = range(2, 6)
"""Words of a reference that need not stand together."""


def mmvu(document: Document, answer: str) -> Reading:
    """Apply the rules for questions with options, or those for questions without."""
    return _choice(document, answer) if document.options else _open(document, answer)


def _choice(document: Document, answer: str) -> Reading:
    """Right where the letter of the right option stands alone anywhere, in either case (the article `a` where A is
    right), where its text is contained, or where its letter and one word of its text are."""
    lower = answer.strip().lower()
    alone = {letter.lower() for letter in _ALONE.findall(answer)}

    def accepts(position: int) -> bool:
        letter, text = chr(ord("a") + position), document.options[position].strip().lower()
        words = (word.strip(punctuation) for word in text.split())
        return (
            letter in alone
            or text in lower
            or (letter in lower and any(len(word) > 2 and word in lower for word in words))
        )

    return accepting(document, accepts, "letter alone, or text")


def _open(document: Document, answer: str) -> Reading:
    """Right where one of answer and reference contains the other (an empty answer too), where their first numbers are
    equal, where all words of three letters and more of a short reference are there (one of shorter words alone takes
    any answer), or the same `O(…)`."""
    lower, right = (text.strip().lower().translate(_POWERS) for text in (answer, document.answer))
    said, expected = " ".join(lower.split()), " ".join(right.split())
    if not document.references:
        return Reading("judge", why="no public answer")
    if expected in said or said in expected:
        return Reading("read", correct=True, why="answer or reference contains the other" if said else "empty")
    first, second = _NUMBER.search(lower), _NUMBER.search(right)
    if first and second and abs(float(first[0]) - float(second[0])) < _NEAR:
        return Reading("read", correct=True, why="the same first number")
    words, wanted = ({word for part in text.split() if (word := part.strip(punctuation))} for text in (said, expected))
    count = sum(1 for part in expected.split() if part.strip(punctuation))
    if count in _SHORT and all(word in words for word in wanted if len(word) > 2):
        return Reading("read", correct=True, why="all longer words of the reference")
    if (order := _order(said)) and order == _order(expected):
        return Reading("read", correct=True, why="the same order of growth")
    return Reading("judge", why="no rule applies")


def _order(text: str) -> str:
    found = _ORDER.search(text[: text.rfind(")") + 1])
    return found[0] if found else ""
