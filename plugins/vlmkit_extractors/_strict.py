"""Ours: an answer is read where a careful reader would have no doubt, and unreadable everywhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from vlmkit.api import Document, Reading
from vlmkit_extractors._choices import chosen, labels_of, letters_of, span_of, unreadable
from vlmkit_extractors._marks import unmarked
from vlmkit_extractors._mentions import Mention, denies, passing, plain_mentions
from vlmkit_extractors._option_texts import ENDS, Span, lowered, option_texts, text_spans

__all__ = ["strict"]

_GOES_ON = re.compile(r"[ ,]*(?:(?:and|or|nor|then|but|to)\b|[/&])")
_ALTERNATIVE = re.compile(r"\b(?:or|either)\b")
_WORD = re.compile(r"\w")
_NUMBER = re.compile(r"\d+")
_OWN = re.compile(r"[(\[]?(?P<letter>[A-Za-z])[)\].:]{0,2} ?")
_NEAR = 100
"""Characters beside a letter that may be the text of another option, too short to be looked for elsewhere."""
_CLAUSE = re.compile(r"[,.;:!?\n]")
_LINE_ENDS = re.compile(r"[ .,;:!?\"')\]]*(?:\n|$)")
_IN_ONE_LINE = "and its own text in one line"
_YES_OR_NO = re.compile(r"\b(?:yes|no)\b")
_MOST = 200
"""Letters, and texts of options, that an answer may name: one that loops is not read."""


def strict(document: Document, answer: str) -> Reading:
    """A letter that is named as the answer, or the text of one option, and nothing that contradicts it.

    - A letter counts alone (a small one too), at the start before a mark (`C.`, `(C)`, `C -`), in brackets, at the end
      behind a comma or `so`, or in words like `The answer is C`, `C is correct`, `I choose C`, `\\boxed{C}`.
    - The text of an option counts as the whole answer, or within a sentence that has no negation, no `or` and no other
      option's text. A yes or no that is an option may have a sentence behind it. Names of options in the tag `labels`,
      e.g. `Caption A`, count as their texts.
    - Several letters, a letter and the text of another option, a letter behind `not`, one that no option has: all these
      are unreadable. Of several lines the last one decides alone if it declares a letter and no other line declares
      another one.
    """
    text = unmarked(answer)
    if not text:
        return unreadable("reasoning without an end" if "<think>" in answer else "empty")
    if not _WORD.search(text):
        return unreadable("no word")
    if (whole := _whole(document, text)) is not None:
        return whole
    first, _, last = text.rpartition("\n")
    if first and (declared := _declared(last)) and len(declared) == 1 and _declared(first) <= declared:
        return _sentence(document, last)
    return _sentence(document, text)


def _declared(text: str) -> set[str]:
    return {mention.letter for mention in islice(plain_mentions(text), _MOST) if mention.declared}


def _whole(document: Document, text: str) -> Reading | None:
    """The reading where the answer is nothing but the text of an option, or its name, e.g. `Option 2` or `2`."""
    bare = lowered(text).strip(ENDS)
    names = [{name, name.rpartition(" ")[2]} for name in option_texts(labels_of(document))]
    same = [option for option, other in enumerate(option_texts(document.options)) if other == bare and bare]
    same = same or [option for option, known in enumerate(names) if bare in known]
    if not same:
        return None
    letters = letters_of(document)
    if len(bare) == 1 and bare.upper() in letters and same != [letters.index(bare.upper())]:
        return unreadable(f"letter {bare.upper()}, which is the text of {_names(document, same)}")
    if len(same) > 1:
        return unreadable(f"the text of {_names(document, same)}")
    return Reading("read", same[0], why=f"the text of {_names(document, same)}")


def _sentence(document: Document, text: str) -> Reading:
    letters, lower, texts = letters_of(document), lowered(text), option_texts(document.options)
    spans = text_spans(lower, [*enumerate(texts), *enumerate(option_texts(labels_of(document)))], _MOST)
    mentions = [*_before_own_text(text, lower, texts), *islice(plain_mentions(text), _MOST)]
    if len(mentions) >= _MOST or len(spans) >= _MOST:
        return unreadable("the same again and again")
    mentions = [m for m in mentions if not any(span.start <= m.start and m.end <= span.end for span in spans)]
    spans = [s for s in spans if not any(m.declared and m.start <= s.start and s.end <= m.end for m in mentions)]
    masked = _masked(text, spans)
    named = [mention for mention in mentions if mention.letter in letters]
    found = {mention.letter for mention in named} | (passing(masked) & set(letters))
    if len(found) > 1:
        return unreadable(f"{'two letters' if len(found) == 2 else 'letters'}: {', '.join(sorted(found))}")
    for mention in mentions:
        if mention.letter not in letters and mention.how != "in brackets":
            return unreadable(f"letter {mention.letter}, but the options are {span_of(letters)}")
    if not named:
        said = _yes_or_no(lower, texts) if not found else set()
        if len(said) == 1 and {span.option for span in spans} <= said:
            return Reading("read", min(said), why=f"begins with the text of {_names(document, said)}")
        return _by_text(document, masked, spans, found)
    letter = named[0].letter
    place = letters.index(letter)
    if any(mention.is_denied(masked) for mention in named):
        return unreadable(f"letter {letter} with a negation")
    beside = {part for mention in named for part in _beside(mention, lower)} | {letter.lower()}
    others = ({s.option for s in spans} | {o for o, other in enumerate(texts) if other in beside}) - {place}
    if others and named[0].how != _IN_ONE_LINE:  # what stands below such a line explains it
        return unreadable(f"letter {letter}, but the text of {_names(document, others)}")
    return chosen(document, letter, f"letter {letter} {named[0].how}")


def _beside(mention: Mention, lower: str) -> Iterator[str]:
    """The clauses in front of a letter and behind it: `No` of `A. No, it does not`."""
    before, behind = lower[max(0, mention.start - _NEAR) : mention.start], lower[mention.end : mention.end + _NEAR]
    yield _CLAUSE.split(before.rstrip(ENDS))[-1].strip(ENDS)
    yield _CLAUSE.split(behind.lstrip(ENDS), maxsplit=1)[0].strip(ENDS)


def _before_own_text(text: str, lower: str, texts: list[str]) -> Iterator[Mention]:
    """A letter at the start that its option's text follows: `C moving left`, `C.moving left`."""
    if found := _OWN.match(text):
        letter = found["letter"].upper()
        position, end = ord(letter) - ord("A"), found.end()
        own = texts[position] if position < len(texts) else ""
        behind = end + len(own)
        if own and lower.startswith(own, end) and not lower[behind : behind + 1].isalnum():
            how = _IN_ONE_LINE if _LINE_ENDS.match(text, behind) else "before its own text"
            yield Mention(letter, 0, end, False, how)


def _masked(text: str, spans: list[Span]) -> str:
    """The text with nothing readable where texts of options stand, as long as before."""
    pieces, place = [], 0
    for span in spans:
        pieces += [text[place : span.start], "\0" * (span.end - max(place, span.start))]
        place = max(place, span.end)
    return "".join([*pieces, text[place:]])


def _yes_or_no(lower: str, texts: list[str]) -> set[int]:
    """The options that are the yes or no with which the answer begins, where the other word is nowhere in it."""
    word = _YES_OR_NO.match(lower)
    if (
        word is None
        or lower[word.end() : word.end() + 1] not in tuple(",.!;:")
        or {*_YES_OR_NO.findall(lower)} != {word[0]}
    ):
        return set()
    return {option for option, text in enumerate(texts) if text == word[0]}


def _by_text(document: Document, masked: str, spans: list[Span], letters: set[str]) -> Reading:
    options = {span.option for span in spans}
    if not options:
        return unreadable("no letter and no option's text")
    names = _names(document, options)
    if len(options) > 1:
        return unreadable(f"the texts of {names}")
    (option,) = options
    if letters - set(letters_of(document)[option : option + 1]):
        return unreadable(f"the text of {names}, but letter {', '.join(letters)}")
    if denies(masked):
        return unreadable(f"the text of {names} with a negation")
    number = document.options[option].strip().isdecimal() and _NUMBER.search(masked)
    if number or _ALTERNATIVE.search(masked) or any(_GOES_ON.match(masked, span.end) for span in spans):
        return unreadable(f"the text of {names} and more")
    return Reading("read", option, why=f"the text of {names} within the answer")


def _names(document: Document, options: Iterable[int]) -> str:
    """`option C`, `options A, C`; those behind Z by their number."""
    letters = letters_of(document)
    names = [letters[option] if option < len(letters) else str(option + 1) for option in sorted(options)]
    return f"option{'s' * (len(names) > 1)} {', '.join(names)}"
