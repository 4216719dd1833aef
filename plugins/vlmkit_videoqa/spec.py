"""Options of the evaluator `open-ended-qa`."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from vlmkit.api import Evaluator, EvaluatorSpec

__all__ = ["OpenEndedQaSpec"]


class OpenEndedQaSpec(EvaluatorSpec):
    """Free-form answers, each compared with one reference by the judge."""

    type: Literal["open-ended-qa"] = "open-ended-qa"
    prompt: str = "<video>\n{question}"
    """The user's words; `{question}` is the question, `<video>` stands where the video goes."""
    question_type: Literal["first-word", "given"] = "first-word"
    """`first-word`: what, who, how, …; `given`: the field `type` of the annotations."""

    @field_validator("prompt")
    @classmethod
    def _has_both(cls, prompt: str) -> str:
        for part in ("<video>", "{question}"):
            if prompt.count(part) != 1:
                raise ValueError(f"expected {part} exactly once in the prompt, found {prompt!r}")
        return prompt

    def build(self) -> Evaluator:
        """Return the evaluator."""
        from vlmkit_videoqa._module import OpenEndedQa

        return OpenEndedQa(self.prompt, given_types=self.question_type == "given")
