"""JSON-lines files that a kill may have torn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import BaseModel

from vlmkit.data import BadSamples
from vlmkit.errors import RunError
from vlmkit.lines import read_json, read_lines


def test_a_torn_line_is_no_line_and_is_cut_off_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert read_lines(path) == []
    torn = '{"a": 1}\n{"a": "ü'.encode()[:-1]
    path.write_bytes(torn)
    assert read_lines(path) == [{"a": 1}]
    assert path.read_bytes() == torn
    assert read_lines(path, mend=True) == [{"a": 1}]
    assert path.read_bytes() == b'{"a": 1}\n'


class Row(BaseModel):
    """What a reader relies on."""

    a: int
    names: list[str] = []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x", ": expected JSON: "),
        ("[1]", ": expected a mapping of keys to values; found [1]; remove the line, or the file"),
        ("{}", ": expected the key a, which is missing; remove"),
        ('{"a": "one"}', ': a: expected a whole number; found "one"; remove'),
        ('{"a": 1, "names": ["b", 3]}', ": names.1: expected text; found 3; remove"),
    ],
)
def test_what_a_reader_cannot_use_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"a": 1, "b": 2}}\n{line}\n')
    with pytest.raises(RunError) as refusal:
        read_lines(path, Row)
    assert f"lines.jsonl, line 2{said}" in str(refusal.value)
    path.write_text(line)
    with pytest.raises(RunError) as refusal:
        read_json(path, Row, "remove it or the file")
    assert f"lines.jsonl{said}".partition("; remove")[0] in str(refusal.value)
    assert str(refusal.value).endswith("; remove it or the file")


def test_a_file_that_can_be_used_comes_back_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1, "b": 2}]')
    assert read_json(path, list[Row]) == [{"a": 1, "b": 2}]
    for gone in (tmp_path, tmp_path / "gone.json"):
        with pytest.raises(RunError, match=r": cannot be read: .*; remove the file and run the command again"):
            read_json(gone, list[Row])


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path, odd = tmp_path / "lines.jsonl", "a\u2028b\u0085c"
    path.write_text(json.dumps({"id": odd}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_lines(path) == [{"id": odd}]
    bad = tmp_path / "bad_samples.jsonl"
    BadSamples(bad, 1.0, "here").record(odd, None, "why")
    assert odd in BadSamples(bad, 1.0, "here")
