"""YAML with places."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.errors import SpecError
from vlmkit.spec.yaml import parse_scalar, read


def test_every_value_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\nb:\n  - x\n  - c: 2\n")
    document = read(file)
    assert document.data == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.place_of(("b", 1, "c")) == f"{file}:4"
    assert document.place_of(("a",)) == f"{file}:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", r":2: the key 'a' stands here a second time"),
        ("a: [1\n", r"a\.yaml:2: not valid YAML at column 1: .*expected ',' or ']'"),
        ("\tb", "not valid"),
        (
            "a: 1\nb: !!python/object:os.system x\n",
            r"a\.yaml:2: the tag !!python/object:os\.system means nothing in a ",
        ),
        ("a: !!set {b}\n", r"a\.yaml:1: the tag !!set means nothing"),
        ("a: !!bool maybe\n", r"a\.yaml:1: expected a value of !!bool, found 'maybe'"),
        (f"a: {'9' * 301}\n", r"a\.yaml:1: expected a whole number of at most 300 digits, found '9{70}"),
        ("a: 1\nb: &x [*x]\n", r"a\.yaml:2: this list or mapping contains itself"),
        ("a: " + "[" * 2000 + "]" * 2000, r"a\.yaml: lists and mappings are nested too deeply"),
        ("a: 1\n? [b, c]\n: 2\n", r"a\.yaml:2: expected a name as the key, found a list"),
        ("? {b: c}\n: 2\n", r"a\.yaml:1: expected a name as the key, found a mapping"),
        (
            "a: &x {b: 1}\nc:\n  <<: *x\n",
            r"a\.yaml:3: merge keys \(`<<`\) are not read; write the keys out, or use `ext",
        ),
        ("a: .inf\n", r"a\.yaml:1: expected a finite number \(text stands in quotes\), found '\.inf'"),
        ("a: [61e9540]\n", r"a\.yaml:1: expected a finite number \(text stands in quotes\), found '61e9540'"),
    ],
)
def test_a_malformed_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        read(tmp_path / "a.yaml")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SpecError, match="expected a spec file in UTF-8, found the byte 0xff at offset 0"):
        read(tmp_path / "a.yaml")


def test_an_anchor_may_be_used_twice(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: &x {b: 1}\nc: [*x, *x]\n")
    assert read(tmp_path / "a.yaml").data == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{a: 1, a: 2}", "--set x: the key 'a' stands here a second time"),
        (".nan", r"--set x: expected a finite number .*, found '\.nan'"),
        ("[", r"--set x: '\[' is not valid YAML: "),
        ("!!python/name:os.system", "--set x: the tag !!python/name:os.system means nothing"),
    ],
)
def test_a_malformed_override_says_where(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_scalar(text, "--set x")


def test_keys_of_an_override_are_names() -> None:
    assert parse_scalar("{0: {steps: 1}}") == {"0": {"steps": 1}}
