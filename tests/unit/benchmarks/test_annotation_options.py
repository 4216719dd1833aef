"""The options of benchmark.yaml that say how rows become documents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import DataError
from vlmkit.benchmarks.annotation_options import (
    AnnotationOptions,
    Lookup,
    OptionLines,
    OptionList,
    TextOptions,
    annotation_options,
)


def test_those_of_a_split_stand_over_those_of_the_entry() -> None:
    entry = {"id": "{a}", "tags": {"x": "{x}", "y": "{y}"}, "answer": "{right}", "options": ["a", "b"]}
    options = annotation_options(entry, {"tags": {"y": "{z}"}, "answer": None, "options": ["c"]}, None, where="entry")
    assert options == AnnotationOptions.model_validate(
        {"id": "{a}", "tags": {"x": "{x}", "y": "{z}"}, "answer": None, "options": ["c"]}
    )
    assert options.of_file("any.json") is options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"idd": "{a}"}, "idd: unknown key idd; did you mean 'id'"),
        ({"options": {"line": "("}}, "expected a regular expression"),
        ({"answer_is": "digit"}, "answer_is: expected 'text', 'index', 'number' or 'letter'"),
        ({"columns": {"a": {"file": "x.json", "path": []}}}, "expected at least 1 in the list"),
        ({"files": {"a.json": {"iid": "x"}}}, "unknown key iid"),
        ({"files": {"a.json": {"question_files": ["x"]}}}, "`question_files` is an option of all files"),
    ],
)
def test_wrong_ones(options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)entry, split test: these `annotations` have .*{message}"):
        annotation_options(options, where="entry, split test")


def test_the_schema_of_the_registry_has_the_same(root: Path) -> None:
    schema = json.loads((root / "benchmarks_registry" / "schema.json").read_text())["$defs"]
    assert set(schema["annotations"]["properties"]) == set(AnnotationOptions.model_fields)
    assert set(schema["text"]["anyOf"][1]["properties"]) == set(TextOptions.model_fields)
    assert set(schema["lookup"]["properties"]) == set(Lookup.model_fields)
    objects = [
        way["properties"] for way in schema["annotations"]["properties"]["options"]["anyOf"] if "properties" in way
    ]
    assert [set(way) for way in objects] == [set(OptionList.model_fields), set(OptionLines.model_fields)]
    kinds = schema["annotations"]["properties"]["answer_is"]["enum"]
    assert [annotation_options({"answer_is": kind}, where="").answer_is for kind in kinds] == kinds
