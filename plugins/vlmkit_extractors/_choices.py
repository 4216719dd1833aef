"""Parts that the rules share: the letters of a question's options, and readings in the same words."""

from __future__ import annotations

from collections.abc import Callable
from string import ascii_uppercase

from vlmkit.api import Document, Reading, random_option

__all__ = ["Rule", "accepting", "chosen", "drawn", "labels_of", "letters_of", "span_of", "unreadable"]

Rule = Callable[[Document, str], Reading]
"""Reads one answer."""


def letters_of(document: Document) -> str:
    """Return the letters of the options, A for the first; options behind Z have none."""
    return ascii_uppercase[: len(document.options)]


def labels_of(document: Document) -> list[str]:
    """Return the names that the annotations have for the options, e.g. `Caption A`: lines of the tag `labels`."""
    labels = [label.strip(" :.") for label in document.tags.get("labels", "").split("\n")]
    return labels if len(labels) == len(document.options) and all(labels) else []


def span_of(letters: str) -> str:
    """Return letters for people: `A-D`, `A`."""
    return f"{letters[0]}-{letters[-1]}" if len(letters) > 1 else letters


def unreadable(why: str) -> Reading:
    """Return a reading that counts as wrong, and apart."""
    return Reading("unreadable", why=why)


def chosen(document: Document, letter: str, why: str) -> Reading:
    """Return the option of a capital letter; unreadable where there is no such option."""
    letters = letters_of(document)
    if letter not in letters:
        return unreadable(f"{why}, but the options are {span_of(letters)}")
    return Reading("read", letters.index(letter), why=why)


def drawn(document: Document, why: str) -> Reading:
    """Return an option drawn by the document's id, as rules do that guess."""
    return Reading("random", random_option(document), why=why)


def accepting(document: Document, accepts: Callable[[int], bool], why: str) -> Reading:
    """Return the reading of a rule that only compares an answer with the right option.

    It is applied to each option as if that were the right one: the answer names the option that it would be right for,
    none, or several of which any would be right.
    """
    letters = letters_of(document)
    accepted = [position for position in range(len(document.options)) if accepts(position)]
    if len(accepted) == 1:
        return Reading("read", accepted[0], why=why)
    if not accepted:
        return unreadable(f"{why}: fits no option")
    right = None if document.correct is None else document.correct in accepted
    fitting = (
        "every option"
        if len(accepted) == len(document.options)
        else ", ".join(letters[position] for position in accepted if position < len(letters))
    )
    return Reading("read", correct=right, why=f"{why}: fits {fitting}")
