"""The number that an answer states, in digits or in words."""

from __future__ import annotations

import re
from itertools import islice

from vlmkit.api import DataError, Document, Reading, shown
from vlmkit_extractors._choices import unreadable
from vlmkit_extractors._marks import unmarked
from vlmkit_extractors._mentions import denies
from vlmkit_extractors._option_texts import lowered

__all__ = ["number"]

_UNITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_VALUES = {word: value for value, word in enumerate(_UNITS + _TEENS)}
_VALUES |= {word: 10 * value for value, word in enumerate(_TENS, 2)} | {"once": 1, "twice": 2, "thrice": 3}
_WORD = re.compile(rf"\b(?:({'|'.join(_TENS)})[- ]({'|'.join(_UNITS[1:])})|({'|'.join(_VALUES)}))\b")
_DIGITS = re.compile(r"(?<![\w.,])(?:(?<!-)-)?\d{1,15}(?:,\d{3}){0,4}(?:\.\d{1,15})?(?:x(?!\w)|(?![\w%]))(?![.,:/]\d)")
_DIGIT = re.compile(r"\d")
_NOT_ONE = re.compile(r"\b(?:the|this|that|which|no|any|each|every|some|another) $")
_ONE_OF_THEM = re.compile(r"(?! times?\b)[ \n]\w")
_BOUND = re.compile(r"\b(?:at least|at most|more than|less than|fewer than|over|under|up to|almost|nearly) $")
_OR_SO = re.compile(r"\+| or (?:more|less|fewer|so)\b")
_VAGUE = re.compile(r"\b(?:hundreds?|thousands?|millions?|dozens?|half|few|several|many)\b")
_LAST_LINE = re.compile(r"(?:the |my )?(?:final |total )?(?:answer|count|number|total)\b")
_MOST = 50
"""Numbers that an answer may have; one that loops is not read."""


def number(document: Document, answer: str) -> Reading:
    """The one number of an answer: `3`, `three`, `twice`, `3 times`, `The count is 3 (three).`

    Two different numbers, bounds (`at least 3`), vague words (`several`), negations, and digits within words (`2nd`,
    `25%`, `3:15`) are unreadable. Of several lines a last one like `Answer: 3` is read alone.
    """
    lower = _lines(unmarked(answer))
    if not lower:
        return unreadable("empty")
    digits = [*islice(_DIGITS.finditer(lower), _MOST)]
    words = [word for word in islice(_WORD.finditer(lower), _MOST) if word[0] != "one" or not _is_pronoun(lower, word)]
    values = {float(match[0].replace(",", "").rstrip("x")) for match in digits} | set(map(_value, words))
    rest = _DIGIT.search(_DIGITS.sub(" ", lower))
    if rest or max(len(digits), len(words)) == _MOST:
        return unreadable("digits that are no number of their own")
    if not values:
        return unreadable("no number")
    if len(values) > 1:
        return unreadable(f"several numbers: {', '.join(_written(value) for value in sorted(values)[:3])}")
    (value,) = values
    said = _written(value)
    if _VAGUE.search(lower) or any(_is_bound(lower, match) for match in (*digits, *words)):
        return unreadable(f"number {said} as a bound, or with a vague word")
    if denies(lower):
        return unreadable(f"number {said} with a negation")
    return Reading("read", number=value, correct=_correct(document, value), why=f"number {said}")


def _lines(text: str) -> str:
    """All lines, or the last one where it states the answer."""
    first, _, last = text.rpartition("\n")
    return lowered(last if first and _LAST_LINE.match(last.lower()) else text)


def _is_pronoun(text: str, one: re.Match[str]) -> bool:
    """`the one with a hat`, `one man`; `one time` and a last `one` are numbers."""
    before = _NOT_ONE.search(text, max(0, one.start() - 10), one.start())
    return before is not None or _ONE_OF_THEM.match(text, one.end()) is not None


def _is_bound(text: str, found: re.Match[str]) -> bool:
    """`at least 3`, `3 or more`."""
    before = _BOUND.search(text, max(0, found.start() - 14), found.start())
    return before is not None or _OR_SO.match(text, found.end()) is not None


def _value(word: re.Match[str]) -> float:
    tens, unit, alone = word.groups()
    return float(_VALUES[alone] if alone else _VALUES[tens] + _VALUES[unit])


def _written(value: float) -> str:
    return f"{value:.15g}"


def _correct(document: Document, value: float) -> bool | None:
    """Return whether it is one of the document's references. A DataError where none of them is a number."""
    numbers = []
    for reference in document.references:
        try:
            numbers.append(float(reference))
        except ValueError:
            continue
    if document.references and not numbers:
        found = shown(document.answer)
        raise DataError(f"question {shown(document.id)}: expected a number as its answer, found {found}")
    return value in numbers if numbers else None
