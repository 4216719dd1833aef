"""The prompt of a judge that is a language model, and the request that fills it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from string import ascii_uppercase
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field

from vlmkit.api.document import fill_template, template_names
from vlmkit.errors import SpecError

__all__ = ["JudgePrompt", "JudgeRequest", "ReplyForm"]

ReplyForm = Literal["pred-score", "score", "two-scores", "correct-incorrect", "option", "extracted-answer"]
"""Form of the reply that a judge is told to write, by which it is read:

| form | reply |
|---|---|
| `pred-score` | `{'pred': 'yes', 'score': 4}`: right or wrong (yes, no, correct, incorrect) and 0 to 5 |
| `score` | `{'score': 4}`: 0 to 5 alone |
| `two-scores` | two scores of 1 to 5, whose mean is the score |
| `correct-incorrect` | `Correct` or `Incorrect` |
| `option` | `Answer: B. …`: the option that the answer describes; right where it is the reference |
| `extracted-answer` | `{"extracted_answer": "B", "correct": true}`: what the answer says, and whether that is right |
"""


@dataclass(frozen=True)
class JudgePrompt:
    """The texts that a judge is given. `{question}` and other fields of the request stand for its texts."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str
    version: str
    user: str
    """The user's message. Of braces, those around the name of a field alone are replaced."""
    reply: ReplyForm
    system: str = ""
    max_tokens: Annotated[int, Field(ge=1, le=100_000)] = 256
    """Longest reply, tokens."""
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    source: str = ""
    """Repository and file of the published text."""

    @property
    def sha256(self) -> str:
        """Checksum of all that changes what is asked and how the reply is read; name, version and source do not."""
        asked = [self.system, self.user, self.reply, self.max_tokens, self.temperature, self.presence_penalty]
        return hashlib.sha256(json.dumps(asked).encode()).hexdigest()

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields that the two texts use."""
        return template_names(f"{self.system}\n{self.user}")

    def messages(self, request: JudgeRequest) -> list[dict[str, str]]:
        """Return the chat to be continued: `{role, content}` of system, where there is one, and user.

        A SpecError where the request lacks a field.
        """
        texts = request.fields()
        if lacking := sorted(self.fields - texts.keys()):
            raise SpecError(
                f"judge prompt {self.name}: expected requests with {', '.join(lacking)}, found {', '.join(texts)}; "
                "use a prompt that is made for this benchmark"
            )
        said = [("system", self.system)] if self.system else []
        return [{"role": role, "content": fill_template(text, texts)} for role, text in [*said, ("user", self.user)]]


@dataclass(frozen=True)
class JudgeRequest:
    """One answer to be judged."""

    question: str
    references: tuple[str, ...]
    """Answers that count as right; the first is the one that a prompt shows."""
    answer: str
    """The model's answer."""
    options: tuple[str, ...] = ()
    """Of a multiple-choice question, without letters."""
    prompt: JudgePrompt | None = None
    """The prompt of a judge that is a language model; None for the others."""
    other_question: str = ""
    """A second question whose answer is judged together with this one."""
    other_answer: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Further texts for the prompt, by the name of their field."""

    def fields(self) -> dict[str, str]:
        """Return the texts for a prompt, by name; those that are empty are left out, except for question and answer.

        `full_question` is the question with its options below it, and `full_reference` the reference with what stands
        before it there, `B. a ball`, where it is one of the options. A question whose own lines end with the options is
        full already.
        """
        ends = [(f": {option}", f". {option}", f") {option}") for option in self.options]
        lines = [next((line for line in self.question.splitlines() if line.endswith(end)), "") for end in ends]
        full_question = self.question
        if not all(lines) or len(set(lines)) < len(lines):
            lines = [f"{letter}. {option}" for letter, option in zip(ascii_uppercase, self.options, strict=False)]
            full_question = "\n".join([self.question, *lines])
        reference = self.references[0] if self.references else ""
        more = {
            "reference": reference,
            "full_reference": lines[self.options.index(reference)] if reference in self.options else reference,
            "options": "\n".join(lines),
            "full_question": full_question,
            "other_question": self.other_question,
            "other_answer": self.other_answer,
        }
        kept = {name: text for name, text in more.items() if text}
        return {**self.tags, "question": self.question, "answer": self.answer, **kept}

    def plain(self) -> JudgeRequest:
        """Return the same for a judge that reads no prompt."""
        return replace(self, prompt=None, options=(), tags={})

    @property
    def sha256(self) -> str:
        """Checksum of all of it, by which its verdict is found again."""
        plain = [self.question, *self.references, self.answer]
        prompt = self.prompt and self.prompt.sha256
        more = [self.options, prompt, self.other_question, self.other_answer, sorted(self.tags.items())]
        text = json.dumps([plain, more] if any(more) or len(plain) != 3 else plain)
        return hashlib.sha256(text.encode()).hexdigest()
