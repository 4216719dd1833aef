"""One question of a benchmark, as its annotations have it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from vlmkit.api.contract import ContractError, check_number, check_text, check_type
from vlmkit.errors import shown

__all__ = ["Document", "check_document", "template_fields"]

_TEXTS = ("id", "video", "question", "answer", "type", "task", "group", "companion")


@dataclass(frozen=True)
class Document:
    """One question of a benchmark."""

    id: str
    """Unique within the benchmark and split."""
    video: str
    """Name of the video, as the annotations have it; the benchmark says where its file lies."""
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
    """Which task, of a benchmark that has several: a protocol can ask and score each in its own way."""
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


def check_document(found: object, what: str) -> Document:
    """Return a document whose fields have their types. A ContractError that names `what` and the field."""
    document: Document = check_type(found, Document)
    for name in _TEXTS:
        check_text(getattr(document, name), f"{what} with `{name}`")
    for name in ("references", "options"):
        for text in check_type(getattr(document, name), tuple, f"a tuple of texts as `{name}`"):
            check_text(text, f"{what} with a text in `{name}` that is")
    for text in (part for pair in check_type(document.tags, Mapping).items() for part in pair):
        check_text(text, f"{what} with a text in `tags` that is")
    if document.correct is not None and document.correct not in range(len(document.options)):
        raise ContractError(
            f"gives {what} with `correct` {shown(document.correct)}, expected a position among its "
            f"{len(document.options)} options"
        )
    if document.span is not None:
        start, end = (check_number(second, f"{what} with `span`", 0) for second in document.span)
        if not start < end < math.inf:
            raise ContractError(f"gives {what} with `span` {shown(document.span)}, expected (start, end) in seconds")
    return document


def template_fields(document: Document) -> dict[str, str]:
    """Return what a template of a prompt can name: the tags, and the texts of the document itself."""
    own = {name.name: getattr(document, name.name) for name in fields(document) if name.name in _TEXTS}
    return {**document.tags, **own}
