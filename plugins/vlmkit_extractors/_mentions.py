"""Where an answer names letters of options, as a careful reader sees it: `The answer is (C)`, `C. It turns`, `so C`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Mention", "denies", "passing", "plain_mentions"]

_OPEN, _CLOSE = r"[(\[{\"'<]{0,3}", r"[)\]}\"'>]{0,3}"
_LABEL = rf"{_OPEN} ?(?<![\w\u00b0.'-])(?P<letter>[A-Za-z]) ?{_CLOSE}(?!\w)(?!['-]\w)(?!\.\w)"
_NOUN = r"(?:option|choice|letter|answer)"
_SURELY = r"(?: (?:most likely|likely|probably|definitely|clearly|therefore|thus|then|here))?"
_IS = r"(?: (?:is|was|would be|should be|must be|will be|seems to be|appears to be))?"
_DECLARED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"(?:\b(?:the|my) )?(?:\b(?:correct|right|best|final|only|likely|most \w{1,12}) ){0,3}"
        r"\b(?:answer|option|choice|response|conclusion)\b(?: to (?:the|this|your) question)?"
        rf"[\"']?{_SURELY}{_IS}{_SURELY} ?[:=]? ?(?:(?:the )?{_NOUN} )?{_LABEL}",
        rf"(?<!\w)(?:{_NOUN} )?{_LABEL} (?:is|was|would be|seems|looks|appears)"
        r"(?: (?:the|most|likely|probably|clearly|definitely|to be)){0,3}"
        r" (?:correct|right|best|answer|option|choice|accurate|true)\b",
        r"\b(?:i|we)(?:'d|'ll| would| will)? "
        r"(?:choose|chose|select|selected|pick|picked|go with|opt for|say|answer|think|believe|guess)"
        rf"(?: that)?(?: it is| it's)?(?: (?:the )?{_NOUN})? ?:? ?{_LABEL}",
        rf"\\boxed ?\{{(?:\\\w{{4,8}} ?\{{)?{_LABEL}",
    )
)
_BRACKETED = re.compile(r"(?<!\w)[(\[] ?(?P<letter>[A-Za-z]) ?[)\]](?!\w)")
_FOLLOWED = re.compile(r"[ \n]?\w")
_LAST = re.compile(
    r"(?:^|[,;:\n.!?] ?|\b(?:so|thus|hence|therefore|then|is|it's|be)[,:]? )"
    rf"(?:(?:it is|it's|the|probably|likely|{_NOUN}) ){{0,3}}{_LABEL}[ .,!?]*$",
    re.IGNORECASE,
)
_FIRST = re.compile(
    r"^[(\[\"']{0,2} ?(?P<letter>[A-Za-z]) ?(?P<mark>[)\]\"'.:,]{1,3}|(?= [-\u2013\u2014] )|(?=\n)"
    r"|(?= (?:because|since|as|due)\b))"
)
_CAPITAL = re.compile(r"(?<![\w.\u00b0-])(?P<letter>[A-Z])(?!\w)(?!['-]\w)(?!\.\w)")
_AS_LABEL = re.compile(rf"{_NOUN} ?[(\[\"']{{0,2}} ?$", re.IGNORECASE)
_WORD = re.compile(r" [^\W\d_]")
_AFTER_A_LABEL = re.compile(
    r" (?:again|also|and|appears|are|as|at|be|because|but|by|can|cannot|correct|could|describes|did|do|does"
    r"|due|for|from|given|has|have|here|if|in|incorrect|instead|is|may|matches|might|must|nor|not|on|or"
    r"|seems|shows|since|than|that|then|there|to|was|were|when|which|while|who|will|with|would|wrong)\b",
    re.IGNORECASE,
)
_AFTER_THE_LABEL_I = re.compile(r" (?:as|because|is|matches|seems|since)\b", re.IGNORECASE)
"""Words that can follow these letters, where other words make them an article and a pronoun."""

_NEGATION = re.compile(
    r"\b(?:not|no|never|none|neither|nor|cannot|without|except|unlike|exclud\w{1,3}|eliminat\w{1,3}|wrong|incorrect|false"
    r"|unlikely|unsure|unclear|unable|impossible|instead of|rather than)\b|n't\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"[)\]\"']{0,2},? ?(?:(?:is|was|are|were|would be|can|could|does|did|may|might|must|seems|should|has been) ?)?"
    r"(?:not\b|n't|never\b|wrong|incorrect|false|cannot|\w{2,6}n't|ruled out|excluded|eliminated|unlikely|impossible)",
    re.IGNORECASE,
)
_SENTENCE = re.compile(r".*(?:[.!?\n]|\b(?:so|thus|hence|therefore|consequently)\b)", re.IGNORECASE | re.DOTALL)
_CLAUSE = re.compile(r".*(?:[.!?\n,;:]|\b(?:so|thus|hence|therefore|consequently|but)\b)", re.IGNORECASE | re.DOTALL)
_SCOPE = 300
"""Characters before a letter in which a negation is looked for."""


@dataclass(frozen=True)
class Mention:
    """One letter that an answer names."""

    letter: str
    """Capital."""
    start: int
    end: int
    """Of the whole phrase."""
    declared: bool
    """In words like `the answer is`, not by its place or its brackets alone."""
    how: str
    """In words, for people."""

    def is_denied(self, text: str) -> bool:
        """Return whether a negation goes with it, before it in its clause or right behind it."""
        before = text[max(0, self.start - _SCOPE) : self.start]
        clause = (_CLAUSE if self.declared else _SENTENCE).sub("", before, count=1)
        return _NEGATION.search(clause) is not None or _DENIED.match(text, self.end) is not None


def denies(text: str) -> bool:
    """Return whether a text has a negation anywhere."""
    return _NEGATION.search(text) is not None


def plain_mentions(text: str) -> Iterator[Mention]:
    """Yield the letters that a text names so that they cannot be anything else, all of A-Z."""
    for pattern in _DECLARED:
        for found in pattern.finditer(text):
            if _is_label(text, found, lower_ends=True):
                yield _mention(found, True, "declared")
    for found in _BRACKETED.finditer(text):
        if found["letter"].islower() and found.start() and _FOLLOWED.match(text, found.end()):
            continue  # `The man (a) waits`
        yield _mention(found, False, "in brackets")
    if (first := _FIRST.match(text)) and _is_first(text, first):
        yield _mention(first, False, "at the start")
    if (last := _LAST.search(text)) and _is_label(text, last, lower_ends=len(text) == len(last["letter"])):
        yield _mention(last, False, "at the end" if last.start("letter") else "alone")


def passing(text: str) -> set[str]:
    """Return the capitals that stand alone anywhere, articles and pronouns excepted."""
    return {found["letter"] for found in _CAPITAL.finditer(text) if _is_label(text, found, lower_ends=False)}


def _mention(found: re.Match[str], declared: bool, how: str) -> Mention:
    return Mention(found["letter"].upper(), found.start(), found.end(), declared, how)


def _is_label(text: str, found: re.Match[str], *, lower_ends: bool) -> bool:
    """Return whether this letter is that of an option: no article, and no pronoun.

    A small letter is one in brackets and, with `lower_ends`, at the end of a clause.
    """
    place = found.start("letter")
    letter, after = text[place], text[place + 1 : place + 40]
    if letter.islower():
        enclosed = text[place - 1 : place] in ("(", "[", "{", '"', "'") or after[:1] == ")"
        return enclosed or (lower_ends and (not after or after[0] in ".,;:!?\n"))
    if letter not in "AI" or not _WORD.match(after) or _AS_LABEL.search(text, max(0, place - 20), place):
        return True
    return (_AFTER_A_LABEL if letter == "A" else _AFTER_THE_LABEL_I).match(after) is not None


def _is_first(text: str, first: re.Match[str]) -> bool:
    mark, after = first["mark"], text[first.end() : first.end() + 1]
    if first["letter"].islower() and not set(mark) & set(")].:"):
        return False
    return not after or after.isspace() or mark[-1:] in (")", ":")
