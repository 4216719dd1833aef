"""Checksums inside of text, JSON-lines files that a kill may have torn, and entries of data files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from vlmkit.api import DataError, name_of, parse_rows, text_of
from vlmkit.data import BadSamples
from vlmkit.errors import RunError
from vlmkit.json_files import is_present, read_json_lines, read_record, stamp, stamped, stamped_comment

TEXTS = {
    "a line": stamped({"id": "é 1", "rate": 1e-05, "none": None}),
    "an object": stamped({"a": {"b": [1, 2.5]}}, indent=2) + "\n",
    "a list": stamped([{"a": 1}, {"b": "x"}], indent=2) + "\n",
    "YAML": stamped_comment("name: tiny\nseed: 42\n"),
}


def reads(text: bytes, load: Any) -> bool:
    try:
        load(text.decode())
    except (ValueError, yaml.YAMLError):
        return False
    return True


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_flipped_bit_passes(text: str) -> None:
    """In the last line of YAML it may: what carries no checksum is taken as it is, and a spec refuses unknown keys."""
    whole = text.encode()
    load = yaml.safe_load if text.startswith("name") else json.loads
    assert stamp(whole) == "right"
    assert reads(whole, load)
    for place in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        seen = stamp(bytes(flipped)) == "wrong" or not reads(flipped, load)
        assert seen or (load is yaml.safe_load and load(text).items() <= load(flipped.decode()).items()), bytes(flipped)


def test_a_checksum_takes_nothing_from_what_is_said() -> None:
    assert json.loads(TEXTS["a list"])[0] == {"a": 1}
    (key,) = json.loads(TEXTS["a line"]).keys() - {"id", "rate", "none"}
    assert key == "checksum"
    assert yaml.safe_load(TEXTS["YAML"]) == {"name": "tiny", "seed": 42}
    again = {**json.loads(TEXTS["a line"])}
    assert stamped(again) == TEXTS["a line"], "an old checksum is replaced"


@pytest.mark.parametrize("text", ["", "{}", '{"a": "0123456789abcdef"}', f'{{"a": "{"yes " * 8}"}}', "a: b\n# c: d\n"])
def test_text_without_one_is_known(text: str) -> None:
    assert stamp(text.encode()) == "absent"


def test_a_torn_line_is_no_line_and_is_cut_off_on_demand(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    assert read_json_lines(path, dict[str, Any]) == []
    torn = '{"a": 1}\n{"a": "ü'.encode()[:-1]
    path.write_bytes(torn)
    assert read_json_lines(path, dict[str, Any]) == [{"a": 1}]
    assert path.read_bytes() == torn
    assert read_json_lines(path, dict[str, Any], mend=True) == [{"a": 1}]
    assert path.read_bytes() == b'{"a": 1}\n'


class Row(BaseModel):
    """What a reader relies on."""

    a: int
    names: list[str] = []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("x", ": expected JSON; this is no JSON: "),
        ("[1]", ": expected a mapping of keys to values; found [1]; remove the line, or the file"),
        ("{}", ": expected the key a, which is missing; remove"),
        ('{"a": "1"}', ': a: expected a whole number; found "1"; remove'),
        ('{"a": true}', ": a: expected a whole number; found true; remove"),
        ('{"a": "one"}', ': a: expected a whole number; found "one"; remove'),
        ('{"a": 1, "names": ["b", 3]}', ": names.1: expected text; found 3; remove"),
    ],
)
def test_what_a_reader_cannot_use_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(f'{{"a": 1, "b": 2}}\n{line}\n')
    with pytest.raises(RunError) as refusal:
        read_json_lines(path, Row)
    assert f"lines.jsonl, line 2{said}" in str(refusal.value)
    path.write_text(line)
    with pytest.raises(RunError) as refusal:
        read_record(path, Row, "remove it or the file")
    assert f"lines.jsonl{said}".partition("; remove")[0] in str(refusal.value)
    assert str(refusal.value).endswith("; remove it or the file")


def test_a_file_comes_back_as_what_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text('[{"a": 1, "b": 2}]')
    assert read_record(path, list[Row]) == [Row(a=1)]
    assert read_record(path, list[dict[str, Any]]) == [{"a": 1, "b": 2}]
    for gone in (tmp_path, tmp_path / "gone.json"):
        with pytest.raises(RunError, match=r": expected JSON.*; remove the file and run the command again"):
            read_record(gone, list[Row])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{{"a": {"9" * 5000}}}', "too many digits"),
        ('{"a":' * 100_000, "nested too deeply"),
        ('{"a": 1, "b": "\\ud83d"}', "half a character"),
        ('{"a": 1, "\\uDE00": 2}', "half a character"),
        (f'{{"a": "{"x" * 5_000_000}"}}', "expected a whole number"),
        (f'{{"a": [{"1, " * 1_000_000}1]}}', "expected a whole number"),
        ("x" * 5_000_000, "no JSON"),
    ],
)
def test_odd_content_is_one_short_message(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "rows"
    path.write_text(f"{text}\n")
    for read in (lambda: read_record(path, Row), lambda: read_json_lines(path, Row)):
        with pytest.raises(RunError, match=rf"rows(, line 1)?: .*{said}") as refusal:
            read()
        assert len(str(refusal.value)) < 500


def test_whole_pairs_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_text('{"a": 1, "b": "\\ud83d\\ude00"}\n', encoding="utf-8-sig")
    assert read_record(path, dict[str, Any]) == {"a": 1, "b": "\U0001f600"}
    assert read_json_lines(path, dict[str, Any]) == [{"a": 1, "b": "\U0001f600"}]
    path.write_bytes(b'{"a": 1, "b": "\xff"}\n')
    with pytest.raises(RunError, match="in UTF-8, found the byte 0xff at offset 15"):
        read_json_lines(path, Row)


def test_what_is_no_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "zero", "folder"):
        for read in (is_present, lambda path: read_json_lines(path, Row), lambda path: read_record(path, Row)):
            with pytest.raises(RunError, match=f"{name}: expected .*, found a folder, pipe or device; remove "):
                read(tmp_path / name)
    assert not is_present(tmp_path / "gone")


def test_only_a_line_feed_ends_a_line(tmp_path: Path) -> None:
    path, odd = tmp_path / "lines.jsonl", "a\u2028b\u0085c"
    path.write_text(json.dumps({"id": odd}, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_json_lines(path, dict[str, Any]) == [{"id": odd}]
    bad = tmp_path / "bad_samples.jsonl"
    BadSamples(bad, 1.0, "here").add_unreadable(odd, None, "why")
    assert odd in BadSamples(bad, 1.0, "here")


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("[]", []),
        ('[{"a": 1}, 2]', [{"a": 1}, 2]),
        ('\n [\n{"a": 1}\n]\n', [{"a": 1}]),
        ('{"a": 1}', [{"a": 1}]),
        ('{"a": 1}\n{"b": 2}\n', [{"a": 1}, {"b": 2}]),
        ('\r\n{"a": 1}\r\n\r\n {"b": 2}\r\n', [{"a": 1}, {"b": 2}]),
        ('{"a": "\u2028\x85"}\n{}', [{"a": "\u2028\x85"}, {}]),
    ],
)
def test_lists_and_lines(text: str, rows: list[Any]) -> None:
    assert parse_rows(text.encode(), "here", "rows") == rows
    assert parse_rows(text.encode("utf-8-sig"), "here", "rows") == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        (" \n", "the file is empty"),
        ('{\n "a": 1\n}', r'found \{"a": 1\}'),
        ("null", "found null"),
        ("[1]\n[2]", "no JSON: Extra data"),
        ('{"a": 1}\n{"b"\n', "^here, line 2: .*no JSON"),
        ('{"a": 1}\n{}\n3]', "^here, line 3: .*no JSON"),
    ],
)
def test_what_is_neither(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said) as error:
        parse_rows(text.encode(), "here", "rows")
    assert "expected a JSON list of rows, or one JSON object per line" in str(error.value)


def test_names_and_texts() -> None:
    assert [name_of(value, "id", "here") for value in ("a", "", 0, -3, 10**4000)][:4] == ["a", "", "0", "-3"]
    assert text_of("a", "question", "here") == "a"
    for value in (None, True, 1.0, [], {}):
        with pytest.raises(DataError, match=r"^here: `id` should be text or a whole number, found "):
            name_of(value, "id", "here")
        with pytest.raises(DataError, match=r"^here: `question` should be text, found "):
            text_of(value, "question", "here")
    with pytest.raises(DataError, match="should be text, found 3; correct it"):
        text_of(3, "question", "here")
    with pytest.raises(DataError, match="half a character"):
        name_of("\ud83d", "id", "here")
