"""The rules of TempCompass' authors (arXiv:2403.00476), which lmms-eval and VLMEvalKit apply to answers as they are."""

from __future__ import annotations

import re

from vlmkit.api import Document, Reading
from vlmkit_extractors._choices import chosen, labels_of, unreadable
from vlmkit_extractors._yes_no import said

__all__ = ["caption_matching", "multi_choice", "yes_no"]

_LETTER = re.compile(r"[A-D](?=[.)]|$)")
_WORDS = ("Caption", "Option", "Sentence")


def _cleaned(answer: str, strip: bool) -> str:
    return answer.replace("</s>", "").strip() if strip else answer


def _undecided(why: str, judge: bool) -> Reading:
    return Reading("judge", why=why) if judge else unreadable(why)


def multi_choice(document: Document, answer: str, strip: bool = True, judge: bool = True) -> Reading:
    """One letter A-D, or `A.` or `A)` at the start. An answer that is the whole line of the right option begins so."""
    text = _cleaned(answer, strip)
    found = _LETTER.match(text)
    if found is None or (len(text) > 1 and text[1] not in ".)"):
        return _undecided("no letter A-D with `.` or `)` at the start", judge)
    return chosen(
        document, found[0], f"letter {found[0]} at the start" if len(text) > 1 else f"letter {found[0]} alone"
    )


def yes_no(document: Document, answer: str, strip: bool = True, judge: bool = True) -> Reading:
    """Begins with `yes` or `no`, in either case: `not`, `none` and `nothing` count as no."""
    lower = _cleaned(answer, strip).lower()
    for word in ("yes", "no"):
        if lower.startswith(word):
            return said(document, word, f"begins with {word}")
    return _undecided("begins with neither yes nor no", judge)


def caption_matching(document: Document, answer: str, strip: bool = True, judge: bool = True) -> Reading:
    """Equals the line of an option, its sentence (also behind the first `) `), its name, e.g. `Option 1`, or its bare
    label; full stops do not count in names.

    The names stand in the tag `labels`; without it they are Caption, Option and Sentence, with A or 1.
    """
    text = _cleaned(answer, strip)
    named, behind = text.replace(".", ""), text.split(") ", 2)[1:2]
    found = None
    for position, option in enumerate(document.options):
        names = _names(document, position)
        if text == option or option in behind or any(text == f"{name}: {option}" for name in names):
            found = position, "its sentence"
        if any(name in (text, named) for name in (*names, *(name.split(" ", 1)[-1] for name in names))):
            found = position, "its name"
    if found is None:
        return _undecided("no option's line, sentence or name", judge)
    return Reading("read", found[0], why=f"equals {found[1]}")


def _names(document: Document, position: int) -> list[str]:
    """The names of an option: the one of the annotations, or all that there can be."""
    if labels := labels_of(document):
        return [labels[position]]
    return [f"{word} {label}" for word in _WORDS for label in (chr(ord("A") + position), str(position + 1))]
