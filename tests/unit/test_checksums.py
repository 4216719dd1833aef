"""Checksums inside of text, and of files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from vlmkit import checksums
from vlmkit.checksums import checksum, stamp, stamped, stamped_comment

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


def test_a_file_that_is_not_touched_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "_known", {})
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 3_000_000)
    first = checksum(file)
    assert first.bytes == 3_000_000
    assert not checksums._known, "a second change could bear the same time"
    monkeypatch.setattr(checksums.time, "time_ns", lambda: file.stat().st_mtime_ns + 10**9)
    assert checksum(file) == first
    assert len(checksums._known) == 1
    times = file.stat()
    file.write_bytes(b"x" * 2_999_999 + b"y")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    monkeypatch.setattr(checksums, "xxh3_128", checksums.xxh3_128)
    assert checksum(file) != first, "also where the time is set back"
