"""Annotation files become documents: which file has the questions, which the answers, and what each column means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.benchmarks.annotation_files import NAME, AnnotationContent, found_in, looked_up, read_rows
from vlmkit.benchmarks.annotation_options import AnnotationOptions, Lookup, OptionLines, OptionList, TextOptions
from vlmkit.benchmarks.document_rows import document_of, required
from vlmkit.benchmarks.templates import MISSING, Row, check_columns, columns_of, filled, plain_text, text_in, value_in
from vlmkit.errors import DataError, shown

__all__ = ["read_documents"]

_TEXTS = ("id", "video", "question", "answer", "type", "task", "group", "companion")


class _Questions(NamedTuple):
    """The rows of one file, and how they are read."""

    file: Path
    options: AnnotationOptions
    rows: list[Row]


def read_documents(files: Sequence[Path], options: AnnotationOptions) -> list[Document]:
    """Return the questions of annotation files, in the order of the files and their rows.

    Files that no lookup names and that have no questions are lists of answers, and are matched by id, or MSVD's table
    of names. A DataError, with file and entry, where one is malformed, a question has no answer, or two have one id.
    """
    contents = {content.name: content for content in map(found_in, files)}
    questions, answers, names = _sorted(contents, options)
    documents: dict[str, Document] = {}
    places: dict[str, str] = {}
    whole = [_with_columns(asked, answers, contents) for asked in questions]
    rows_of_all = [row for asked in whole for row in asked.rows]
    for asked in whole:
        _check_found(asked, rows_of_all)
        for row in _counting(asked):
            document = document_of(row, asked.options, names)
            if document.id in documents:
                raise DataError(f"{row.where}: the id {shown(document.id)} belongs to more than one question, this and "
                                f"{places[document.id]}")  # fmt: skip
            documents[document.id], places[document.id] = document, row.where
    for document in documents.values():
        if document.companion and document.companion not in documents:
            raise DataError(f"{places[document.id]}: there is no question {shown(document.companion)} to judge with "
                            "this one")  # fmt: skip
    return list(documents.values())


def _sorted(
    contents: Mapping[str, AnnotationContent], options: AnnotationOptions
) -> tuple[list[_Questions], dict[str, Row], dict[str, str]]:
    """Return the files with questions, answers by id, and the names of MSVD's videos by `vidN`."""
    own = {name: options.of_file(name) for name in contents}
    named = {column.file for each in own.values() for column in each.columns.values() if isinstance(column, Lookup)}
    for name in (*named, *(options.question_files or ())):
        if name not in contents:
            raise DataError(f"expected a file {name} among the annotation files: {', '.join(contents) or 'none'}")
    questions: list[_Questions] = []
    others: list[_Questions] = []
    names: dict[str, str] = {}
    for name, content in contents.items():
        if name in named if options.question_files is None else name not in options.question_files:
            continue
        found = _Questions(content.path, own[name], read_rows(content, own[name]))
        if NAME in found.rows[0].values:
            names = {row.values["vid"]: row.values[NAME] for row in found.rows}
        else:
            (questions if _asks(found) else others).append(found)
    if not questions:
        for other in others:
            check_columns({"question": other.options.question.template}, other.rows)
        raise DataError(f"expected a file with questions, found none among: {', '.join(contents) or 'none'}")
    return questions, _answers(others), names


def _asks(found: _Questions) -> bool:
    made = {*found.options.columns, *(name for variant in found.options.variants for name in variant)}
    columns = columns_of(found.options.question.template)
    return any(made.intersection(names) for names in columns) or any(
        all(value_in(names, row)[1] is not MISSING for names in columns) for row in found.rows
    )


def _answers(others: Iterable[_Questions]) -> dict[str, Row]:
    answers: dict[str, Row] = {}
    for other in others:
        for row in other.rows:
            key = required(other.options.id, row, "id")
            if key in answers:
                raise DataError(f"{row.where}: the id {shown(key)} stands there a second time")
            answers[key] = row
    return answers


def _joined(row: Row, options: AnnotationOptions, answers: Mapping[str, Row]) -> Row:
    """Return a row with the columns of the answer of the same id."""
    other = answers.get(required(options.id, row, "id")) if answers else None
    if other is None:
        return row
    if options.answer is not None:
        here, there = text_in(options.answer, row, "answer"), text_in(options.answer, other, "answer")
        if None not in (here, there) and here != there:
            raise DataError(f"{row.where}: the answer is {shown(here)} here and {shown(there)} in {other.where}; "
                            "remove one")  # fmt: skip
    own = {name: value for name, value in row.values.items() if value is not None}
    return Row({**row.values, **other.values, **own}, row.where)


def _with_columns(
    asked: _Questions, answers: Mapping[str, Row], contents: Mapping[str, AnnotationContent]
) -> _Questions:
    """Return the rows of a file with their answers and the further columns of the options, one for each variant."""
    rows = [_joined(row, asked.options, answers) for row in asked.rows]
    for name, column in asked.options.columns.items():
        if isinstance(column, Lookup):
            rows = looked_up(rows, column, name, contents[column.file])
        else:
            rows = [_with({name: column}, row) for row in rows]
    variants = asked.options.variants
    return asked._replace(rows=[_with(variant, row) for row in rows for variant in variants] if variants else rows)


def _check_found(asked: _Questions, everywhere: Sequence[Row]) -> None:
    """Raise a DataError where the options name a column that no file has, or look up what is nowhere."""
    for name, column in asked.options.columns.items():
        if isinstance(column, Lookup) and not any(name in row.values for row in everywhere):
            raise DataError(f"{asked.file}: none of its {len(asked.rows)} questions has an entry in {column.file} "
                            f"under {', '.join(column.path)}, where `{name}` is looked up; correct `path`")  # fmt: skip
    check_columns(_templates(asked.options), asked.rows, everywhere)


def _with(columns: Mapping[str, TextOptions], row: Row) -> Row:
    made = {name: text_in(column, row, name) for name, column in columns.items()}
    return Row({**row.values, **{name: text for name, text in made.items() if text is not None}}, row.where)


def _made(options: AnnotationOptions) -> dict[str, TextOptions]:
    return {name: column for name, column in options.columns.items() if isinstance(column, TextOptions)}


def _templates(options: AnnotationOptions) -> dict[str, str]:
    """Return the templates that the options give, by key: their columns have to be there."""
    given = {name: getattr(options, name) for name in _TEXTS if name in options.model_fields_set}
    given |= {f"tags.{name}": text for name, text in options.tags.items()}
    given |= {f"references.{number}": text for number, text in enumerate(options.references)}
    given |= {f"span.{number}": text for number, text in enumerate(options.span or ())}
    templates = {key: text.template for key, text in given.items() if text is not None}
    templates |= {f"columns.{name}": text.template for name, text in _made(options).items()}
    templates |= {f"where.{name}": f"{{{name}}}" for name in options.where}
    match options.options:
        case list() as columns:
            templates |= {f"options.{number}": f"{{{name}}}" for number, name in enumerate(columns)}
        case OptionList(column=column):
            templates["options.column"] = f"{{{column}}}"
        case OptionLines(of=str(text)):
            templates["options.of"] = text
    return templates


def _counting(asked: _Questions) -> list[Row]:
    """Return the rows that `where` lets through."""
    wanted = {name: [value] if isinstance(value, str) else value for name, value in asked.options.where.items()}
    found = [
        row
        for row in asked.rows
        if all(filled(f"{{{name}}}", row, plain_text) in values for name, values in wanted.items())
    ]
    if not found:
        raise DataError(
            f"{asked.file}: none of its {len(asked.rows)} rows is one that `where` counts: {asked.options.where}"
        )
    return found
