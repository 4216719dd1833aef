"""The options of a multiple-choice question in a row of annotations, and which of them is right."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import NamedTuple

from vlmkit.benchmarks.annotation_options import AnnotationOptions, OptionLines, OptionList
from vlmkit.benchmarks.templates import MISSING, Row, filled, value_at
from vlmkit.errors import DataError, shown
from vlmkit.json_files import name_of, text_of

__all__ = ["Choices", "choices", "right_option"]


class Choices(NamedTuple):
    """The options of one question."""

    question: str
    """Without the options, where they are lines of it."""
    texts: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    """Each as it is written, with its letter."""
    labels: tuple[str, ...] = ()
    """What stands before each where they are lines, e.g. `Caption A`."""


def choices(row: Row, options: AnnotationOptions, question: str, id_: str) -> Choices:
    """Return the options of a row, none where it has none or all are empty. A DataError where they are malformed."""
    match options.options:
        case None:
            return Choices(question)
        case OptionLines() as lines:
            return _in_lines(row, lines, question)
        case OptionList() as listed:
            values = _listed(row, listed)
            pattern = listed.pattern
        case list() as columns:
            values = [(name, value_at(row.values, name)) for name in columns]
            pattern = None
    while values and values[-1][1] in (MISSING, None):
        values.pop()
    if id_ not in options.flawed and all(value == "" for _, value in values):
        return Choices(question)
    whole = tuple(_option(name, value, row.where) for name, value in values)
    texts = whole if pattern is None else tuple(_inside(text, pattern, row.where) for text in whole)
    return Choices(question, texts, whole)


def _option(name: str, value: object, where: str) -> str:
    if value is MISSING or value is None:
        raise DataError(f"{where}: there is no option `{name}`, but one after it; fill it in")
    return name_of(value, name, where)


def _listed(row: Row, options: OptionList) -> list[tuple[str, object]]:
    found = value_at(row.values, options.column)
    if found is MISSING or found is None:
        return []
    if isinstance(found, dict):
        if any(key != letter for key, letter in zip(found, ascii_uppercase, strict=False)):
            raise DataError(f"{row.where}: expected options under the letters A, B, … in `{options.column}`, found "
                            f"{shown(found)}")  # fmt: skip
        return [(f"{options.column}.{key}", value) for key, value in found.items()]
    if isinstance(found, list):
        return [(f"{options.column}.{number}", value) for number, value in enumerate(found)]
    raise DataError(f"{row.where}: expected a list of options as `{options.column}`, found {shown(found)}")


def _inside(text: str, pattern: str, where: str) -> str:
    match = re.fullmatch(pattern, text, re.DOTALL)
    if match is None:
        raise DataError(f"{where}: expected an option of the form {pattern!r}, found {shown(text)}")
    return match[1]


def _in_lines(row: Row, options: OptionLines, question: str) -> Choices:
    text = question if options.of is None else filled(options.of, row, text_of)
    lines = (text or "").split("\n")
    matches = [re.fullmatch(options.line, line) for line in lines]
    first = next((number for number, match in enumerate(matches) if match), len(lines))
    found = [(match, line) for match, line in zip(matches[first:], lines[first:], strict=True) if line.strip()]
    for match, line in found:
        if match is None:
            raise DataError(f"{row.where}: expected an option of the form {options.line!r} in every line from the "
                            f"first one on, found {shown(line)}")  # fmt: skip
    matched = [match for match, _ in found if match is not None]
    return Choices(
        "\n".join(lines[:first]).rstrip() if options.of is None else question,
        tuple(match["text"] for match in matched),
        tuple(line for _, line in found),
        tuple(match["label"] for match in matched) if matched and "label" in matched[0].re.groupindex else (),
    )


def right_option(answer: str, found: Choices, options: AnnotationOptions, id_: str, where: str) -> int | None:
    """Return the position of the option that an answer names: the last one, as most authors' scripts do, where several
    are equal.

    None where it is none of them and the options of the annotations list the question. Else that is a DataError.
    """
    count = len(found.texts)
    if options.answer_is == "text":
        position = _last(found.texts, answer, _last(found.whole, answer))
        if position is None and id_ not in options.flawed:
            raise DataError(f"{where}: the answer {shown(answer)} is none of the options {shown(found.texts, 200)}; "
                            "correct it, or list the question's id under `flawed`")  # fmt: skip
        return position
    if options.answer_is == "letter":
        position = ascii_uppercase.find(answer) if len(answer) == 1 else -1
        form = f"a letter from A to {ascii_uppercase[min(count, 26) - 1]}"
    else:
        first = 0 if options.answer_is == "index" else 1
        position = int(answer) - first if re.fullmatch(r"[0-9]{1,9}", answer) else -1
        form = f"the position of one of the {count} options, from {first} to {count + first - 1}"
    if position not in range(count):
        raise DataError(f"{where}: expected {form} as answer, found {shown(answer)}")
    return position


def _last(texts: Sequence[str], text: str, default: int | None = None) -> int | None:
    return max((number for number, other in enumerate(texts) if other == text), default=default)
