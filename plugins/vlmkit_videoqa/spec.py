"""Options of the evaluators of video question answering."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from vlmkit.api import Evaluator, EvaluatorSpec, ExtractorSpec, Slot, default_component

__all__ = ["MultipleChoiceSpec", "NumberSpec", "OpenEndedQaSpec"]

_LARGEST = 1e9


class PromptedSpec(EvaluatorSpec):
    """How a question is put: templates in which `{question}`, `{type}` and the tags of the annotations stand for their
    texts."""

    prompt: str = "<video>\n{question}"
    """The user's words; `<video>` stands where the video goes."""
    system: str = ""
    """The system message; empty: none."""
    reply: str = ""
    """Words that the model's reply is made to begin with."""

    @field_validator("prompt")
    @classmethod
    def _has_both(cls, prompt: str) -> str:
        for part in ("<video>", "{question}"):
            if prompt.count(part) != 1:
                raise ValueError(f"expected {part} exactly once in the prompt, found {prompt!r}")
        return prompt


class OpenEndedQaSpec(PromptedSpec):
    """Free-form answers, each compared with the references by the judge."""

    type: Literal["open-ended-qa"] = "open-ended-qa"

    def build(self) -> Evaluator:
        """Return the evaluator."""
        from vlmkit_videoqa._module import OpenEndedQa

        return OpenEndedQa(self)


class MultipleChoiceSpec(PromptedSpec):
    """Options with letters, of which the answer names one."""

    type: Literal["multiple-choice"] = "multiple-choice"
    prompt: str = "<video>\n{question}\n{options}\nAnswer with the option's letter from the given choices directly."
    """The user's words; `{options}` are the options, one a line."""
    option: str = "{letter}. {text}"
    """One option."""
    extractor: Slot[ExtractorSpec] = default_component("strict")
    """How an answer is read."""
    output_type: Literal["generate", "loglikelihood"] = "generate"
    """`generate`: the model writes an answer, which is read; `loglikelihood`: the likeliest of the options, each
    written as `continuation`, is the answer."""
    continuation: str = "{letter}"
    """One option as the reply to be scored."""

    @model_validator(mode="after")
    def _option_is_told(self) -> MultipleChoiceSpec:
        for name, template in (("option", self.option), ("continuation", self.continuation)):
            if "{letter}" not in template and "{text}" not in template:
                raise ValueError(f"expected {{letter}} or {{text}} in `{name}`, found {template!r}")
        return self

    def build(self) -> Evaluator:
        """Return the evaluator."""
        from vlmkit_videoqa._module import MultipleChoice

        return MultipleChoice(self)


class NumberSpec(PromptedSpec):
    """Answers that are numbers, e.g. counts: how often they are exact, and by how much they are off."""

    type: Literal["number"] = "number"
    extractor: Slot[ExtractorSpec] = default_component("number")
    """How a number is read."""
    lowest: Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)] = 0.0
    """Numbers below count as this one."""
    highest: Annotated[float, Field(ge=-_LARGEST, le=_LARGEST)] = 10.0
    """Numbers above count as this one; an answer without a number is as far off as possible."""

    @model_validator(mode="after")
    def _is_a_range(self) -> NumberSpec:
        if not self.lowest < self.highest:
            raise ValueError(f"expected lowest < highest, found {self.lowest:g} and {self.highest:g}")
        return self

    def build(self) -> Evaluator:
        """Return the evaluator."""
        from vlmkit_videoqa._module import Number

        return Number(self)
