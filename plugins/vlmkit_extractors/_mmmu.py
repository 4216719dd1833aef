"""The parser of MMMU (arXiv:2311.16502) in the forms that lmms-eval has of it: NExT-QA, EgoSchema, Video-MMMU.

All look for a capital letter in several forms, then for the text of an option; they differ in the forms, in which of
several letters counts, and in what becomes of an answer without any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import reduce

from vlmkit.api import Document, Reading
from vlmkit_extractors._choices import chosen, drawn, letters_of, unreadable

__all__ = ["egoschema", "next_qa", "video_mmmu"]

_ENDS = (",", ".", "!", "?", ";", ":", "'")
_FEW = 5
"""Words up to which an answer is not compared with the texts of the options."""
Found = list[tuple[int, str]]
"""Letters with the places at which they were found; -1 where a stricter form of the letter is nowhere."""


def _padded(answer: str) -> str:
    """The marks at the ends go, one kind after the other."""
    return f" {reduce(str.strip, _ENDS, answer)} "


def _in_form(text: str, letters: str, form: str, placed: str = "") -> Found:
    """The letters that the text has in a form, each at the last place of that form, or of `placed`."""
    inside = [letter for letter in letters if form.format(letter) in text]
    return [(text.rfind((placed or form).format(letter)), letter) for letter in inside]


def _in_words(text: str, letters: str, options: Sequence[str]) -> Found:
    """The letters of options whose text is in an answer of more than five words, in either case."""
    lower = text.lower()
    if len(text.split(maxsplit=_FEW)) <= _FEW:
        return []
    texts = [option.lower() for option in options]
    return [(lower.rfind(part), letter) for letter, part in zip(letters, texts, strict=False) if part in lower]


def _one(document: Document, found: Found, which: Callable[[Iterable[tuple[int, str]]], tuple[int, str]]) -> Reading:
    """The first or the last of the letters that were found; of several at one place the first in the alphabet."""
    _, letter = which(found)
    names = dict.fromkeys(name for _, name in found)
    order = "last" if which is _last else "first"
    why = f"{order} of the letters {', '.join(names)}" if len(names) > 1 else f"letter {letter}"
    return chosen(document, letter, why)


def _last(found: Iterable[tuple[int, str]]) -> tuple[int, str]:
    return max(found, key=lambda pair: pair[0])


def _first(found: Iterable[tuple[int, str]]) -> tuple[int, str]:
    return min(found, key=lambda pair: pair[0])


def next_qa(document: Document, answer: str) -> Reading:
    """`(C)`, else `C` and a blank, else `C.`, else an option's text; the last of several, else an option at random."""
    letters, text = letters_of(document), _padded(answer)
    found = (
        _in_form(text, letters, "({})")
        or _in_form(text, letters, "{} ", " {} ")
        or _in_form(text, letters, "{}.", " {} ")
        or _in_words(text, letters, [option.strip() for option in document.options])
    )
    return _one(document, found, _last) if found else drawn(document, "no letter and no option's text")


def egoschema(document: Document, answer: str) -> Reading:
    """`(C)`, `C` and a blank, or `C.`, else an option's line, `C. text`; the first of several, else an option at
    random."""
    letters, text = letters_of(document), _padded(answer)
    found = [pair for form in ("({})", "{} ", "{}.") for pair in _in_form(text, letters, form)]
    lines = [f"{letter}. {option}".strip() for letter, option in zip(letters, document.options, strict=False)]
    found = found or _in_words(text, letters, lines)
    return _one(document, found, _first) if found else drawn(document, "no letter and no option's line")


def video_mmmu(document: Document, answer: str) -> Reading:
    """`C.` or `C:`, else `(C)`, else `C` and a blank, else an option's text; the last of several. An answer without any
    is unreadable."""
    letters, text = letters_of(document), _padded(answer)
    stopped = _in_form(text, letters, "{}.")
    colons = _in_form(text, letters, "{}:", "{}." if stopped else "")  # placed by their full stops then, as published
    found = (
        stopped + colons
        or _in_form(text, letters, "({})")
        or _in_form(text, letters, "{} ", " {} ")
        or _in_words(text, letters, document.options)
    )
    return _one(document, found, _last) if found else unreadable("no letter and no option's text")
