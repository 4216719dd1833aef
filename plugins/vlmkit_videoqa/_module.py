"""The evaluators of video question answering."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import TYPE_CHECKING

from vlmkit.api import DataError, Document, Evaluator, Prompt, Reading, Verdict, fill_template, shown, template_fields

if TYPE_CHECKING:
    from vlmkit_videoqa.spec import MultipleChoiceSpec, NumberSpec, OpenEndedQaSpec

__all__ = ["MultipleChoice", "Number", "OpenEndedQa"]


class Prompted(Evaluator):
    """Puts questions by templates."""

    def __init__(self, options: OpenEndedQaSpec | MultipleChoiceSpec | NumberSpec) -> None:
        self._templates = (options.prompt, options.system, options.reply)

    def fields(self, document: Document) -> dict[str, str]:
        """Return the texts that templates can name."""
        return template_fields(document)

    def prompt(self, document: Document) -> Prompt:
        """Return the filled templates."""
        texts = self.fields(document)
        return Prompt(*(fill_template(template, texts) for template in self._templates))


class OpenEndedQa(Prompted):
    """Accuracy (0 or 1) and the judge's score (0 to 5)."""

    def score(self, document: Document, reading: Reading, verdict: Verdict | None) -> dict[str, float | None]:
        """Return the judge's verdict as numbers."""
        assert verdict is not None
        return {"accuracy": None if verdict.correct is None else float(verdict.correct), "score": verdict.score}

    def metrics(self) -> dict[str, tuple[float, float]]:
        """Return the ranges of the two."""
        return {"accuracy": (0.0, 1.0), "score": (0.0, 5.0)}


class MultipleChoice(Prompted):
    """Accuracy: 1 for the right option, 0 for another one or for an answer that cannot be read."""

    def __init__(self, options: MultipleChoiceSpec) -> None:
        super().__init__(options)
        self._options, self._extractor = options, options.extractor.build()
        self.judged = self._extractor.judged

    def fields(self, document: Document) -> dict[str, str]:
        """Return the texts that templates can name; `options` are the lettered lines."""
        return {**template_fields(document), "options": "\n".join(_lettered(self._options.option, document))}

    def continuations(self, document: Document) -> Sequence[str]:
        """Return the options as replies, where the likeliest one is the answer."""
        if self._options.output_type == "generate":
            return ()
        return _lettered(self._options.continuation, document)

    def read(self, document: Document, answer: str) -> Reading:
        """Return which option the answer names."""
        if self._options.output_type == "generate":
            return self._extractor.read(document, answer)
        replies = self.continuations(document)
        if answer not in replies:  # an answer of another model, or one that was generated
            return self._extractor.read(document, answer)
        return Reading("read", replies.index(answer), why="the likeliest")

    def score(self, document: Document, reading: Reading, verdict: Verdict | None) -> dict[str, float | None]:
        """Return the accuracy."""
        if verdict is not None:
            return {"accuracy": None if verdict.correct is None else float(verdict.correct)}
        return {"accuracy": float(reading.correct or False)}

    def metrics(self) -> dict[str, tuple[float, float]]:
        """Return the range of the accuracy."""
        return {"accuracy": (0.0, 1.0)}


class Number(Prompted):
    """Accuracy (the number is exact) and squared error, the mean of which TGIF-QA's authors report for counts."""

    judged = False

    def __init__(self, options: NumberSpec) -> None:
        super().__init__(options)
        self._options, self._extractor = options, options.extractor.build()

    def read(self, document: Document, answer: str) -> Reading:
        """Return the number in the answer."""
        return self._extractor.read(document, answer)

    def score(self, document: Document, reading: Reading, verdict: Verdict | None) -> dict[str, float | None]:
        """Return both metrics; an answer without a number is as far off as a number can be."""
        lowest, highest = self._options.lowest, self._options.highest
        right = _number(document)
        if reading.number is None:
            return {"accuracy": 0.0, "squared_error": max(right - lowest, highest - right) ** 2}
        given = min(max(reading.number, lowest), highest)
        return {"accuracy": float(reading.number == right), "squared_error": (given - right) ** 2}

    def metrics(self) -> dict[str, tuple[float, float]]:
        """Return the ranges of the two."""
        return {"accuracy": (0.0, 1.0), "squared_error": (0.0, (self._options.highest - self._options.lowest) ** 2)}


def _lettered(template: str, document: Document) -> list[str]:
    if len(document.options) > len(ascii_uppercase):
        raise DataError(f"question {shown(document.id)} has {len(document.options)} options, expected at most 26")
    pairs = zip(ascii_uppercase, document.options, strict=False)
    return [fill_template(template, {"letter": letter, "text": text}) for letter, text in pairs]


def _number(document: Document) -> float:
    try:
        return float(document.answer)
    except ValueError:
        raise DataError(
            f"question {shown(document.id)}: expected a number as its answer, found {shown(document.answer)}"
        ) from None
