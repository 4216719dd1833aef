"""JSON-lines files that a kill may have torn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmkit.data import BadSamples
from vlmkit.errors import RunError
from vlmkit.lines import read_lines


def test_a_torn_line_is_no_line_and_is_cut_off_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert read_lines(path) == []
    torn = '{"a": 1}\n{"a": "ü'.encode()[:-1]
    path.write_bytes(torn)
    assert read_lines(path) == [{"a": 1}]
    assert path.read_bytes() == torn
    assert read_lines(path, mend=True) == [{"a": 1}]
    assert path.read_bytes() == b'{"a": 1}\n'


@pytest.mark.parametrize("line", ["x", "[1]", "3"])
def test_what_is_no_object_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"a": 1}}\n{line}\n')
    with pytest.raises(RunError, match=r"lines\.jsonl, line 2: expected a JSON object"):
        read_lines(path)


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path, odd = tmp_path / "lines.jsonl", "a\u2028b\u0085c"
    path.write_text(json.dumps({"id": odd}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_lines(path) == [{"id": odd}]
    bad = tmp_path / "bad_samples.jsonl"
    BadSamples(bad, 1.0, "here").record(odd, None, "why")
    assert odd in BadSamples(bad, 1.0, "here")
