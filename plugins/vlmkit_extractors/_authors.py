"""The rules of the authors of MVBench, Video-MME, MLVU, LVBench and VNBench."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vlmkit.api import Document, Reading
from vlmkit_extractors._choices import accepting, chosen, letters_of, unreadable

__all__ = ["FUSED", "first_capital", "lvbench", "mlvu", "mvbench", "names_option", "video_mme", "vnbench"]

FUSED = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
)
"""Phrases that Video-MME's script deletes, in this order: two pairs of phrases are one, for lack of a comma."""
_CAPITAL = re.compile("[ABCD]")


def mvbench(document: Document, answer: str) -> Reading:
    """The first line of the reply, behind the bracket with which the reply was made to begin."""
    lines = answer.strip().split("\n", 1)
    word = f"({lines[0]}".lower().split(" ", 1)[0]
    return accepting(document, lambda position: names_option(word, position), "first word and bracket")


def names_option(word: str, position: int) -> bool:
    """Return whether a word in lower case, without its full stops, is a part of `(c)`, or contains it: `` and `(` are
    parts of every option's letter."""
    label = f"({chr(ord('a') + position)})"
    return word.replace(".", "") in label or label in word


def video_mme(document: Document, answer: str) -> Reading:
    """The first capital letter A-D of the answer, anywhere; without one the question is dropped."""
    letter = first_capital(answer, FUSED)
    return chosen(document, letter, f"first capital {letter}") if letter else Reading("dropped", why="no capital A-D")


def first_capital(answer: str, phrases: Iterable[str]) -> str:
    """Return the first of the letters A-D, within words too, after phrases were deleted; empty where there is none."""
    for phrase in phrases:
        answer = answer.replace(phrase, "")
    found = _CAPITAL.search(answer)
    return found[0] if found else ""


def mlvu(document: Document, answer: str) -> Reading:
    """The character before the first closing bracket; without a bracket the answer must be the letter itself."""
    before, bracket, _ = answer.partition(")")
    letter = before[-1:] if bracket else answer
    if len(letter) == 1 and letter in letters_of(document):
        return chosen(document, letter, f"{letter} before the first bracket" if bracket else f"letter {letter} alone")
    return unreadable("no letter before the first bracket" if bracket else "more or less than a capital letter")


def lvbench(document: Document, answer: str) -> Reading:
    """The first character before the first closing bracket, of what stands behind the first opening one there."""
    text = answer.strip().split(")", 1)[0].strip()
    letter = (text.split("(", 2)[1].strip() if "(" in text else text)[:1]
    if letter and letter in letters_of(document):
        return chosen(document, letter, f"first character {letter}")
    return unreadable("the first character is no letter of an option")


def vnbench(document: Document, answer: str) -> Reading:
    """The first of A, B, C, D, in this order, that is anywhere before the first full stop, within words too."""
    text = answer.split(".", 1)[0]
    letter = next((letter for letter in "ABCD" if letter in text), "")
    return chosen(document, letter, f"capital {letter}") if letter else unreadable("no capital A-D before a full stop")
