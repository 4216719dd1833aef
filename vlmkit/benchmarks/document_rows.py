"""One row of annotations becomes a document."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vlmkit.api.document import Document
from vlmkit.benchmarks.annotation_options import AnnotationOptions, TextOptions
from vlmkit.benchmarks.choices import choices, right_option
from vlmkit.benchmarks.templates import MISSING, Read, Row, columns_of, lacking, plain_text, text_in, value_at
from vlmkit.errors import DataError, shown
from vlmkit.formatting import plural
from vlmkit.json_files import name_of, text_of

__all__ = ["document_of", "required"]


def document_of(row: Row, options: AnnotationOptions, names: Mapping[str, str]) -> Document:
    """Return the question of a row; `names` are those of MSVD's videos. A DataError where it is malformed."""
    where, id_ = row.where, required(options.id, row, "id")
    flawed = id_ in options.flawed
    question = required(options.question, row, "question", text_of, empty=flawed)
    found = choices(row, options, question, id_)
    answer = _answer(row, options, id_)
    correct = right_option(answer, found, options, id_, where) if found.texts and answer is not None else None
    if correct is not None:
        answer = found.texts[correct]
    elif answer is not None and not answer.strip():
        raise DataError(f"{where}: `answer` is empty; fill it in, or remove the entry")
    references = () if found.texts or not answer else (answer, *_references(row, options))
    tags = {name: _optional(text, row, f"tags.{name}", _tag_text) for name, text in options.tags.items()}
    if found.labels:
        tags["labels"] = "\n".join(found.labels)
    return Document(
        id_,
        _video(required(options.video, row, "video", _one_video), names, where),
        found.question,
        answer or "",
        type=_optional(options.type, row, "type"),
        references=tuple(dict.fromkeys(references)),
        options=found.texts,
        correct=correct,
        task=_optional(options.task, row, "task"),
        group=_optional(options.group, row, "group"),
        span=_span(row, options),
        companion=_optional(options.companion, row, "companion"),
        tags={name: text for name, text in tags.items() if text},
    )


def required(text: TextOptions, row: Row, key: str, read: Read = name_of, *, empty: bool = False) -> str:
    """Return a text that every row has to have, and unless it may be `empty` not empty. A DataError otherwise."""
    found = text_in(text, row, key, read)
    if found is None:
        raise DataError(f"{row.where}: {lacking(text.template, row)}")
    if not found.strip() and not empty:
        raise DataError(f"{row.where}: `{key}` is empty; fill it in, or remove the entry")
    return found


def _optional(text: TextOptions | None, row: Row, key: str, read: Read = name_of) -> str:
    return "" if text is None else text_in(text, row, key, read) or ""


def _tag_text(value: object, key: str, where: str) -> str:
    """Return a tag: what `plain_text` takes, or a list of it, one a line."""
    values = value if isinstance(value, list) else [value]
    return "\n".join(plain_text(each, key, where) for each in values)


def _answer(row: Row, options: AnnotationOptions, id_: str) -> str | None:
    """Return the answer as the row names it, None where it is not public."""
    found = None if options.answer is None else text_in(options.answer, row, "answer")
    if found is None and options.answer is not None and not options.unanswered:
        raise DataError(f"{row.where}: no file has an answer to question {shown(id_)}; give it as `answer`, or list "
                        "the file with the answers too")  # fmt: skip
    return found


def _references(row: Row, options: AnnotationOptions) -> list[str]:
    """Return the further references of a row."""
    found: list[str] = []
    for text in options.references:
        columns = columns_of(text.template)
        values = value_at(row.values, columns[0][0]) if len(columns) == 1 else MISSING
        if isinstance(values, list) and text.template == f"{{{columns[0][0]}}}":
            found += [name_of(value, columns[0][0], row.where) for value in values]
        else:
            found.append(_optional(text, row, "references"))
    return [reference for reference in found if reference.strip()]


def _one_video(value: object, key: str, where: str) -> str:
    """Return the name of the video of a question. A DataError for several."""
    if isinstance(value, list):
        raise DataError(
            f"{where}: `{key}` is a list of {plural(len(value), 'video')}; a question of a benchmark is about one, "
            f"by which scores are clustered: name it (`video: '{{{key}.0}}'`), or leave such rows out (`where`)"
        )
    return name_of(value, key, where)


def _video(name: str, names: Mapping[str, str], where: str) -> str:
    if not names:
        return name
    if f"vid{name}" not in names:
        found = f"the mapping of names, which has {len(names)} videos"
        raise DataError(f"{where}: video {shown(name)} is not in {found}")
    return names[f"vid{name}"]


def _span(row: Row, options: AnnotationOptions) -> tuple[float, float] | None:
    texts = [text_in(text, row, "span", plain_text) for text in options.span or ()]
    if not texts or texts == [None, None]:
        return None
    try:
        start, end = (float(text or "") for text in texts)
    except ValueError:
        start, end = math.nan, math.nan
    if not 0 <= start < end < math.inf:
        raise DataError(
            f"{row.where}: expected two numbers as `span`, the first and the last second, found {shown(texts)}"
        )
    return start, end
