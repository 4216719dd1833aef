"""YAML with places."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.errors import SpecError
from vlmkit.spec.yaml import parse_scalar, read


@pytest.mark.parametrize(
    ("text", "value"),
    [("4e-4", 4e-4), ("1.5E3", 1500.0), ("1e3", 1000.0), ("3", 3), ("on", "on"), ("no", "no"), ("true", True),
     ("null", None), ("", None), ("[1, a]", [1, "a"]), ("vicuna-v1", "vicuna-v1"), ("1.2.3", "1.2.3")],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    assert parse_scalar(text) == value
    assert type(parse_scalar(text)) is type(value)


def test_every_value_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: 1\nb:\n  - x\n  - c: 2\n")
    document = read(file)
    assert document.data == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.origins["b", 1, "c"] == f"{file}:4"
    assert document.origins["a",] == f"{file}:1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", r":2: the key 'a' stands here a second time"),
        ("a: [1\n", r"a\.yaml:2: not valid YAML at column 1: .*expected ',' or ']'"),
        ("\tb", "not valid"),
    ],
)
def test_a_malformed_file_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(SpecError, match=message):
        read(tmp_path / "a.yaml")


def test_a_binary_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(SpecError, match="cannot read this spec file"):
        read(tmp_path / "a.yaml")
