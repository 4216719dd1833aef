"""The rules of VLMEvalKit for MVBench and Video-MME, and its text match, which comes after them."""

from __future__ import annotations

from vlmkit.api import Document, Reading
from vlmkit_extractors._authors import FUSED, first_capital, names_option
from vlmkit_extractors._choices import accepting, chosen, unreadable

__all__ = ["mvbench", "video_mme"]

_API_FAILURE = "Failed to obtain answer via API."


def mvbench(document: Document, answer: str, judge: bool = False) -> Reading:
    """The authors' rule without the added bracket; where that says wrong, the text match."""
    if _API_FAILURE in answer:
        right = None if document.correct is None else True
        return Reading("read", correct=right, why="a failure of the API: counted as right")
    word = answer.lower().split(" ", 1)[0]
    reading = accepting(document, lambda position: names_option(word, position), "first word")
    if reading.state == "read" and (reading.correct or document.correct in (None, reading.choice)):
        return reading
    return _by_text(document, answer, judge, reading)


def video_mme(document: Document, answer: str, judge: bool = False) -> Reading:
    """The first capital letter A-D after phrases were deleted, two more than the authors' script has; without one, the
    text match."""
    letter = first_capital(answer, (*FUSED, "Answer:", "Option:"))
    if letter:
        return chosen(document, letter, f"first capital {letter}")
    return _by_text(document, answer, judge, unreadable("no capital A-D"))


def _by_text(document: Document, answer: str, judge: bool, reading: Reading) -> Reading:
    """The one option whose text the answer contains, unless the answer is more than twice as long as all of them;
    otherwise a judge, or the reading of the rule."""
    lower = answer.lower()
    texts = [option.lower() for option in document.options]
    if len(lower) <= 2 * sum(map(len, texts)):
        found = [position for position, text in enumerate(texts) if text in lower]
        if len(found) == 1:
            return Reading("read", found[0], why=f"fallback ({reading.why}): the text of one option")
    return Reading("judge", why=f"fallback ({reading.why}): no single text") if judge else reading
