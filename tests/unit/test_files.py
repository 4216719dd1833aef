"""Texts and JSON of any content; paths of any form."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vlmkit.errors import CheckpointError, DataError
from vlmkit.files import expand_path, file_sha256, is_file, read_text
from vlmkit.json_files import parse_json, read_json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "no JSON"),
        ("", "no JSON"),
        ("9" * 5000, "too many digits"),
        ('{"id": ' + "9" * 5000 + "}", "too many digits"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        (b"\xff\xfe{}", "in UTF-8, found the byte 0xff"),
    ],
)
def test_json_that_is_none(text: str | bytes, said: str) -> None:
    with pytest.raises(CheckpointError, match=f"^here: expected a list.*{said}"):
        parse_json(text, "here", "a list", CheckpointError)


def test_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text('{"a": "é"}', encoding="utf-8-sig")
    assert read_json(file) == {"a": "é"}
    assert parse_json(file.read_bytes(), "here") == {"a": "é"}
    assert parse_json("\ufeff[1]", "here") == [1]
    assert read_text(file, "text") == '{"a": "é"}'


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.json: expected questions; it cannot be read: No such file"):
        read_json(tmp_path / "gone.json", "questions")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert not is_file(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(DataError, match="found a folder, pipe or device"):
            read_text(path, "text")


def test_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"ab\xe9")
    with pytest.raises(DataError, match="byte 0xe9 at offset 2"):
        read_text(tmp_path / "a.txt", "text")


def test_impossible_names() -> None:
    for name in ("a\0b", "x" * 5000):
        with pytest.raises(DataError):
            read_text(Path(name), "text")


def test_checksums_of_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert file_sha256(tmp_path / "a").startswith("e3b0c442")
    os.mkfifo(tmp_path / "pipe")
    for path, said in ((tmp_path / "pipe", "a folder, pipe or device"), (tmp_path / "gone", "No such file")):
        with pytest.raises(DataError, match=f"{path}: .*{said}"):
            file_sha256(path)


def test_home_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expand_path("~/clips") == tmp_path / "clips"
    assert expand_path("a/~/b") == Path("a/~/b")
    with pytest.raises(DataError, match="`~nobody-here` is no home folder here"):
        expand_path("~nobody-here/clips")
