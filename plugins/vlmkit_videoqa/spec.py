"""The evaluator `open-ended-qa`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import field_validator

from vlmkit.api import Document, Evaluator, EvaluatorSpec, Verdict
from vlmkit_videoqa.layouts import read_documents

__all__ = ["OpenEndedQa", "OpenEndedQaSpec"]

QuestionType = Literal["first-word", "given"]


class OpenEndedQaSpec(EvaluatorSpec):
    """Free-form answers, each compared with one reference by the judge."""

    type: Literal["open-ended-qa"] = "open-ended-qa"
    prompt: str = "<video>\n{question}"
    """What the user says; `{question}` is the question, `<video>` stands where the video goes."""
    question_type: QuestionType = "first-word"
    """`first-word`: what, who, how, …; `given`: the field `type` of the annotations."""

    @field_validator("prompt")
    @classmethod
    def _has_both(cls, prompt: str) -> str:
        for part in ("<video>", "{question}"):
            if prompt.count(part) != 1:
                raise ValueError(f"expected {part} exactly once in the prompt, found {prompt!r}")
        return prompt

    def build(self) -> OpenEndedQa:
        """The evaluator."""
        return OpenEndedQa(self.prompt, self.question_type)


class OpenEndedQa(Evaluator):
    """Accuracy (0 or 1) and the judge's score (0 to 5)."""

    def __init__(self, prompt: str, question_type: QuestionType) -> None:
        self._prompt = prompt
        self._question_type = question_type

    def documents(self, files: Sequence[Path]) -> list[Document]:
        """Questions of the annotation files, in their order; `vlmkit_videoqa.layouts` says which layouts there are."""
        return read_documents(files, given_types=self._question_type == "given")

    def prompt(self, document: Document) -> str:
        """The prompt template with the question in it."""
        return self._prompt.replace("{question}", document.question)

    def score(self, document: Document, verdict: Verdict) -> dict[str, float]:
        """What the judge says."""
        return {"accuracy": float(verdict.correct), "score": float(verdict.score)}

    def metrics(self) -> dict[str, tuple[float, float]]:
        """Ranges of the two."""
        return {"accuracy": (0.0, 1.0), "score": (0.0, 5.0)}
