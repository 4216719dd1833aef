"""One question of a benchmark, as its annotations have it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from vlmkit.errors import DataError, did_you_mean, shown

__all__ = ["Document", "fill_template", "template_fields", "template_names"]

_FIELD = re.compile(r"\{([a-z_][a-z0-9_]*)\}")
_TEXTS = ("id", "video", "question", "answer", "type", "task", "group", "companion")


@dataclass(frozen=True)
class Document:
    """One question of a benchmark."""

    id: str
    """Unique within the benchmark and split."""
    video: str
    """Name of the one video that it is about, as the annotations have it; the benchmark says where its file lies."""
    question: str
    answer: str = ""
    """The first reference answer; of a multiple-choice question the text of the right option; empty where the answers
    of a split are not public."""
    type: str = ""
    """Question type, for the break-down of the scores."""
    references: tuple[str, ...] = ()
    """All answers that count as right; empty: `answer` alone."""
    options: tuple[str, ...] = ()
    """The options of a multiple-choice question, without their letters."""
    correct: int | None = None
    """Position of the right option; None without options, or where it is not public."""
    task: str = ""
    """Name of the task, of a benchmark that has several: a protocol can ask and score each in its own way."""
    group: str = ""
    """Questions of one group depend on each other: their answers are clustered, or right only together. Empty: those
    about one video."""
    span: tuple[float, float] | None = None
    """The part of the video that the question is about, seconds; None: all of it."""
    companion: str = ""
    """Id of another question, whose answer is judged together with the answer to this one."""
    tags: Mapping[str, str] = field(default_factory=dict, hash=False)
    """Further columns of the annotations, for break-downs and for templates of prompts."""

    def __post_init__(self) -> None:
        if not self.references and self.answer:
            object.__setattr__(self, "references", (self.answer,))
        if not self.group:
            object.__setattr__(self, "group", self.video)


def fill_template(template: str, texts: Mapping[str, str]) -> str:
    """Return a template with texts for the names in braces, all at once: braces in the texts stay what they are.

    Braces around anything but a name are text. A DataError where there is no text of a name.
    """

    def text(field: re.Match[str]) -> str:
        if field[1] not in texts:
            raise DataError(
                f"the template {shown(template)} names {field[0]}, which a question lacks; "
                f"{did_you_mean(field[1], texts)}it has: {', '.join(texts)}; correct the template"
            )
        return texts[field[1]]

    return _FIELD.sub(text, template)


def template_names(template: str) -> frozenset[str]:
    """Return the names that a template has in braces."""
    return frozenset(_FIELD.findall(template))


def template_fields(document: Document) -> dict[str, str]:
    """Return what a template of a prompt can name: the tags, and the texts of the document itself."""
    own = {name.name: getattr(document, name.name) for name in fields(document) if name.name in _TEXTS}
    return {**document.tags, **own}
