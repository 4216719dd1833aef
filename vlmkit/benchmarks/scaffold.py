"""A new benchmark: a folder with an entry, a page about it and two example questions, to be replaced by one's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from vlmkit.errors import NAME_PATTERN, DataError, shown
from vlmkit.files import atomic_folder, expand_path

__all__ = ["QuestionKind", "new_benchmark"]

QuestionKind = Literal["open-ended", "multiple-choice"]

_ENTRY = """\
# How this benchmark is put and scored. Every field is described in benchmarks_registry/schema.json of vlmkit.
title: {name}, questions about videos
paper: none
license: write here who may use questions and videos, and for what
version: "1" # changes whenever scores may: questions, prompt, generation, scoring
default_split: test
splits:
  test: # whoever measures can rely on these questions once `sha256: …` stands beside the name
    questions: 2
    files: [{{name: questions.jsonl, source: beside this file}}]
video: {{file: "{{video}}{{ext}}", extensions: [.mp4, .mkv, .webm, .avi]}}
"""
_KINDS: dict[QuestionKind, tuple[str, str]] = {
    "open-ended": (
        """\
evaluator: {type: open-ended-qa}
generation: {max_new_tokens: 64}
metrics: [accuracy, score]
""",
        """\
{"id": "1", "video": "example", "question": "What color is the traffic light at the end?", "answer": "green"}
{"id": "2", "video": "example", "question": "How many cars pass?", "answer": "three"}
""",
    ),
    "multiple-choice": (
        """\
annotations: {options: {column: options}, answer_is: letter}
evaluator: {type: multiple-choice}
generation: {max_new_tokens: 16}
metrics: [accuracy]
""",
        """\
{"id": "1", "video": "example", "question": "What color is the light at the end?", "options": ["red", "green"], \
"answer": "B"}
{"id": "2", "video": "example", "question": "How many cars pass?", "options": ["two", "three", "four"], "answer": "B"}
""",
    ),
}
_PAGE = """\
# {name}

What is asked, about which videos, and how the questions were made.

## Paper and citation

None yet.

## Files

- `questions.jsonl`: one question a line. Its `video` is the name of a file in the folder of the videos, without ending.
- Videos: where to get them, and under which license.

## Traps

What whoever compares scores has to know.
"""


def new_benchmark(name: str, folder: Path, kind: QuestionKind) -> Path:
    """Make the folder `NAME` in a folder of entries, and return it. A DataError where it is there already."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise DataError(
            f"the name of a benchmark: expected lower-case letters, digits, `.`, `_` and `-`, starting with a letter "
            f"or digit; found {shown(name)}"
        )
    place = expand_path(folder) / name
    if place.exists():
        raise DataError(f"{place} is there already; choose another name or folder, or remove it")
    asked, questions = _KINDS[kind]
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with atomic_folder(place) as made:
            (made / "benchmark.yaml").write_text(_ENTRY.format(name=name) + asked, encoding="utf-8")
            (made / "README.md").write_text(_PAGE.format(name=name), encoding="utf-8")
            (made / "questions.jsonl").write_text(questions, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{place}: this folder cannot be made: {error.strerror}; choose another one") from None
    return place
