"""An answer of another tool's file as a plain record, and checks of its values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlmkit.api.document import Document
from vlmkit.errors import DataError, as_written, shown
from vlmkit.files import whole_text
from vlmkit.json_files import name_of

__all__ = ["ImportedAnswer", "StoredVerdict", "answer_text", "check_ids", "letter", "text_at", "without_letters"]


@dataclass(frozen=True)
class StoredVerdict:
    """A judge's or a rule's verdict that a file holds of an answer."""

    judge: str
    """Name of the model that judged; empty where a rule of the tool decided, without a judge."""
    correct: bool | None
    """None: neither right nor wrong, or a score alone."""
    score: float | None = None
    """0 (wrong) to 5 (right); None where the file has none."""
    raw: str = ""
    """The judge's own words, as far as the file has them."""
    judged: str = ""
    """The answer that was judged. It can differ from the answer beside it: files are made at different times."""


@dataclass(frozen=True)
class ImportedAnswer:
    """One answer, with what its file says of the question."""

    document: Document
    """Id, and whatever else the file says: video, question, reference answers, options, type. Fields that it does not
    say are empty."""
    answer: str | None
    """None where the tool got none, e.g. because an API refused."""
    verdict: StoredVerdict | None
    """None where the file has no verdict."""
    where: str
    """File and place in it, for messages."""


def text_at(row: Mapping[str, Any], key: str, where: str) -> str:
    """Return what a row has under a key as text, empty where it has nothing. A DataError where it is neither text nor
    a number."""
    value = row.get(key)
    if isinstance(value, float) and math.isfinite(value):
        return str(value)
    return "" if value is None else name_of(value, key, where)


def answer_text(value: object, where: str) -> str | None:
    """Return an answer as text, None where there is none; numbers become text. A DataError for any other value."""
    if value is None:
        return None
    if isinstance(value, str):
        return whole_text(value, where)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return str(value)
    raise DataError(f"{where}: expected the model's answer, text, found {as_written(value)}; correct it")


def letter(position: object, where: str) -> str | None:
    """Return the letter of an option that is given by its position from 0; None for -1 and null: no option."""
    if position is None or position == -1:
        return None
    if not isinstance(position, int) or isinstance(position, bool) or not 0 <= position < 26:
        raise DataError(
            f"{where}: expected the position of an option, 0 to 25, found {as_written(position)}; correct it"
        )
    return chr(ord("A") + position)


def without_letters(options: Sequence[str]) -> tuple[str, ...]:
    """Return options without the letters `A.`, `A)` or `(A)` before them, where each has its own."""
    bare = []
    for number, option in enumerate(options):
        name = chr(ord("A") + number)
        start = next(
            (start for start in (f"({name})", f"{name}.", f"{name})", f"{name}:") if option.startswith(start)), ""
        )
        if not start:
            return tuple(options)
        bare.append(option.removeprefix(start).strip())
    return tuple(bare)


def check_ids(answers: Sequence[ImportedAnswer]) -> None:
    """A DataError that shows both where two answers have the same id."""
    seen: dict[str, ImportedAnswer] = {}
    for answer in answers:
        first = seen.setdefault(answer.document.id, answer)
        if first is not answer:
            raise DataError(
                f"two answers to the question {shown(answer.document.id)}: {first.where} has {_brief(first)}, "
                f"{answer.where} has {_brief(answer)}; leave one of them in the files"
            )


def _brief(answer: ImportedAnswer) -> str:
    return "no answer" if answer.answer is None else shown(answer.answer)
