"""How the rows of annotation files become documents: the options that benchmark.yaml has under `annotations`.

A template names columns in braces: `{video}_{qid}`. `{a|b}` is the first of the two that has a value, `{a.b.0}` goes
into a nested row. Every row also has `{file}`, the name of its file without ending, `{row}`, its number in the file,
and `{index}`, its number in the innermost list; both count from 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from vlmkit.api.spec import Spec
from vlmkit.errors import DataError, problem_list

__all__ = ["AnnotationOptions", "Lookup", "OptionLines", "OptionList", "Text", "TextOptions", "annotation_options"]


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"expected a regular expression; {error}: {value!r}") from None
    return value


Pattern = Annotated[str, BeforeValidator(lambda value: _pattern(value) if isinstance(value, str) else value)]


class TextOptions(Spec):
    """A text that is made of columns."""

    template: str
    """The columns, in braces."""
    pattern: Pattern | None = None
    """Regular expression; its first group, or all that it matches, is taken of the filled template."""
    lower: bool = False
    """Take it in lower case."""
    map: dict[str, str] = Field(default_factory=dict)
    """Texts that are replaced."""


def _text(value: object) -> object:
    return {"template": value} if isinstance(value, str) else value


Text = Annotated[TextOptions, BeforeValidator(_text)]


class Lookup(Spec):
    """A column whose values stand in another file."""

    file: str
    """Name of that file."""
    path: Annotated[list[str], Field(min_length=1)]
    """Templates of the keys, from the outside in, that lead to the value; a row whose keys are not there has none."""
    by: str | None = None
    """Template over the columns of that file: it is a list, and its rows are looked up by this, the first of `path`."""


class OptionList(Spec):
    """Options that stand in one column, as a list, or as a mapping with letters as keys."""

    column: str
    """The column."""
    pattern: Pattern | None = None
    """Regular expression whose first group is the option, e.g. without its letter."""


class OptionLines(Spec):
    """Options that are lines of the question, or of another column."""

    line: Pattern
    """Regular expression of a whole line, whose group `text` is the option. A group `label` is kept in the tag
    `labels`. The lines before the first one are the question."""
    of: str | None = None
    """Template of the text that has them; None: the question."""


class AnnotationOptions(Spec):
    """How rows become documents. Without any of it, a row has the columns of open-ended questions."""

    nested: list[str] = Field(default_factory=list)
    """Names for the keys of mappings around the rows, from the outside in: they are columns."""
    rows: str | None = None
    """Column of an entry that lists the rows; they have the entry's other columns too."""
    question_files: list[str] | None = None
    """Names of the files with questions; None: those that no lookup names."""
    columns: dict[str, Text | Lookup] = Field(default_factory=dict)
    """Further columns, in this order."""
    variants: list[dict[str, Text]] = Field(default_factory=list)
    """Each row becomes several questions, one with each of these further columns."""
    where: dict[str, str | list[str]] = Field(default_factory=dict)
    """Columns and the values of the rows that count."""
    id: Text = TextOptions(template="{id|question_id}")
    video: Text = TextOptions(template="{video|video_name|video_id}")
    question: Text = TextOptions(template="{question}")
    answer: Text | None = TextOptions(template="{answer}")
    """None: the answers are not public."""
    answer_is: Literal["text", "index", "number", "letter"] = "text"
    """How the answer names one of the options: its text, or the whole entry or line that it was taken from; its
    position from 0; its position from 1; its letter. Without options an answer is a text."""
    unanswered: bool = False
    """Some of the questions have no public answer."""
    flawed: list[str] = Field(default_factory=list)
    """Ids of questions that their authors count in spite of a fault: question or options are empty, or the answer is
    none of the options, so that whatever a model answers is wrong."""
    references: list[Text] = Field(default_factory=list)
    """Further answers that count as right, where a row has them; a column with a list has several."""
    options: list[str] | OptionList | OptionLines | None = None
    """Of a multiple-choice question: their columns, or one of the two other ways. A row without any has none."""
    type: Text | None = TextOptions(template="{type}")
    task: Text | None = None
    group: Text | None = None
    companion: Text | None = None
    span: tuple[Text, Text] | None = None
    """First and last second."""
    tags: dict[str, Text] = Field(default_factory=dict)
    """Columns for break-downs and templates of prompts; of a list one entry a line."""
    files: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Other options for the files whose name matches, e.g. `*_caption.json`, over these."""

    @model_validator(mode="after")
    def _files_are_options(self) -> Self:
        for pattern, options in self.files.items():
            if whole := [key for key in ("files", "question_files") if key in options]:
                raise ValueError(f"files.{pattern}: `{whole[0]}` is an option of all files; move it out of there")
            type(self).model_validate(options)
        return self

    def of_file(self, name: str) -> Self:
        """Return the options of one file."""
        own = [options for pattern, options in self.files.items() if fnmatchcase(name, pattern)]
        given = self.model_dump(exclude_unset=True)
        for options in own:
            given = _merged(given, options)
        return type(self).model_validate(given) if own else self


def _merged(options: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with others over them; columns, tags, rows that count and files one by one."""
    both = {key: {**options[key], **over[key]} for key in ("columns", "tags", "where", "files")
            if isinstance(options.get(key), dict) and isinstance(over.get(key), dict)}  # fmt: skip
    return {**options, **over, **both}


def annotation_options(*layers: Mapping[str, Any] | None, where: str) -> AnnotationOptions:
    """Return the options of benchmark.yaml: those of the entry, and over them those of the split.

    A DataError with all problems, each with its path, where they are none.
    """
    given: dict[str, Any] = {}
    for layer in layers:
        given = _merged(given, layer or {})
    try:
        return AnnotationOptions.model_validate(given)
    except ValidationError as error:
        raise DataError(problem_list(error, f"{where}: these `annotations` have")) from None
