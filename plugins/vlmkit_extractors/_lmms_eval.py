"""The rules of lmms-eval for MVBench, for Perception Test, and the one that several of its tasks share."""

from __future__ import annotations

import re
from functools import reduce

from vlmkit.api import Document, Reading
from vlmkit_extractors._choices import chosen, span_of, unreadable

__all__ = ["mvbench", "perception_test", "shared_rule"]

_LETTERS = "ABCDE"
_ISOLATED = re.compile(r"\b[a-e]\b")
_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_THOUSANDS = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_STOPS = 32
"""Full stops that are removed: a flag of the regular expression is passed where the number of replacements goes."""
_CAPITAL = re.compile(r"\b[A-D]\b")

_ENDS = (",", ".", "!", "?", ";", ":", "'", '"')
_AFTER_THE = (
    "answer is",
    "correct answer is",
    "best answer is",
    "correct option is",
    "best option is",
    "choice is",
    "correct choice is",
)
_PHRASES = (
    *_AFTER_THE,
    *(f"the {phrase}" for phrase in _AFTER_THE),
    *("my answer is", "my choice is", "i choose", "i select", "i pick"),
    *("옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは"),
)
_FORMS = {
    "({})": "in brackets",
    "{}.": "before a full stop",
    "{}:": "before a colon",
    "{})": "before a bracket",
    "{} ": "before a blank",
}
"""From the most to the least trusted."""


def mvbench(document: Document, answer: str) -> Reading:
    """`C. text` at the start, else the first letter a-e that stands alone once punctuation is gone, in either case: the
    article `a` too. An empty answer is dropped."""
    if not answer:
        return Reading("dropped", why="empty")
    text = answer.strip()
    behind = text[2:].lstrip()
    if text[:1].upper() in _LETTERS and text[1:2] == "." and behind and "\n" not in behind:
        return chosen(document, text[0].upper(), f"letter {text[0].upper()} and a full stop at the start")
    isolated = _ISOLATED.search(_without_punctuation(text.replace("\n", " ").replace("\t", " ")).lower())
    if isolated is None:
        return unreadable("no letter A-E alone")
    letter = isolated[0].upper()
    return chosen(document, letter, f"first letter alone: {letter}")


def _without_punctuation(text: str) -> str:
    """A mark goes where it has a blank beside it anywhere in the text, and becomes a blank elsewhere."""
    joins = _THOUSANDS.search(text) is not None
    become = {ord(m): "" if joins or f"{m} " in text or f" {m}" in text else " " for m in _MARKS}
    return _FULL_STOP.sub("", text.translate(become), count=_STOPS)


def perception_test(document: Document, answer: str) -> Reading:
    """The first capital letter A-D that stands alone."""
    if found := _CAPITAL.search(answer):
        return chosen(document, found[0], f"first capital alone: {found[0]}")
    return unreadable("no capital A-D alone")


def shared_rule(document: Document, answer: str, letters: str = "ABCD") -> Reading:
    """The capital letter in the most trusted place: at the start, at the end, behind `answer is`, in brackets, before
    a full stop, a colon, a bracket, a blank; the last one of several there. Without any, the last such letter within
    words. All of `letters` are looked for, whatever options there are."""
    text = f" {reduce(str.strip, _ENDS, answer.strip())} "
    bare = text.strip()
    if bare and bare[0] in letters and not bare[1:2].isalpha():
        found, why = bare[0], "at the start"
    elif bare and bare[-1] in letters and not bare[-2:-1].isalpha():
        found, why = bare[-1], "at the end"
    else:
        found, why = _inside(text, letters)
    return chosen(document, found, f"letter {found} {why}") if found else unreadable(f"no capital {span_of(letters)}")


def _inside(text: str, letters: str) -> tuple[str, str]:
    lower = text.lower()
    behind = [place + len(phrase) for phrase in _PHRASES if (place := lower.find(phrase)) >= 0]
    if found := _last({letter: max((text.find(letter, start) for start in behind), default=-1) for letter in letters}):
        return found, "behind a phrase like `answer is`"
    for form, where in _FORMS.items():
        if found := _last({letter: text.rfind(form.format(letter)) for letter in letters}):
            return found, where
    return _last({letter: text.rfind(letter) for letter in letters}), "within a word"


def _last(places: dict[str, int]) -> str:
    """Return the letter at the highest place, empty where all are negative."""
    letter = max(places, key=places.__getitem__)
    return letter if places[letter] >= 0 else ""
