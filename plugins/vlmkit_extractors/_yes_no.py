"""Reading yes or no."""

from __future__ import annotations

import re

from vlmkit.api import DataError, Document, Reading, shown
from vlmkit_extractors._choices import unreadable
from vlmkit_extractors._marks import unmarked

__all__ = ["said", "strict"]

_DECLARED = re.compile(r"(?:(?:the|my) )?(?:(?:correct|final|right) )?answer(?: is:?|:) *[\"'(]*", re.IGNORECASE)
_WORD = re.compile(r"\b(?:yes|no)\b", re.IGNORECASE)
_BEHIND_NO = re.compile(
    r" *(?:$|[,.;:!?\"')\n\u2013\u2014-]|(?:it|he|she|they|there|this|that|the|we|you|i)\b)", re.IGNORECASE
)


def said(document: Document, word: str, why: str) -> Reading:
    """Return the reading of `yes` or `no`. A DataError where the document's own answer is neither."""
    if document.options:
        places = [place for place, option in enumerate(document.options) if option.strip(" .").casefold() == word]
        if len(places) != 1:
            found = f"options {shown(document.options)}"
            raise DataError(f"question {shown(document.id)}: expected yes and no as options, found {found}")
        return Reading("read", places[0], why=why)
    right = document.answer.strip(" .").casefold()
    if right not in ("yes", "no", ""):
        raise DataError(f"question {shown(document.id)}: expected yes or no as its answer, found {shown(right)}")
    return Reading("read", correct=word == right if right else None, why=why)


def strict(document: Document, answer: str) -> Reading:
    """The answer begins with yes or no, or is `The answer is yes`, and says nothing else of the two.

    `No dog is there` begins with no `no`: that stands alone, or before punctuation or a sentence (`No it does not`).
    """
    text = unmarked(answer)
    start = _DECLARED.match(text)
    begin = start.end() if start else 0
    words = {m[0].lower(): m.start() for m in reversed(list(_WORD.finditer(text))) if _stands(text, m)}
    first = min(words, key=words.__getitem__, default="")
    if len(words) > 1:
        return unreadable("both yes and no")
    if not words:
        return unreadable("neither yes nor no" if text else "empty")
    if words[first] != begin:
        return unreadable(f"{first} within a sentence")
    return said(document, first, f"{'declares' if start else 'begins with'} {first}")


def _stands(text: str, word: re.Match[str]) -> bool:
    return word[0].lower() == "yes" or _BEHIND_NO.match(text, word.end()) is not None
