"""Checksums of files, and manifests of folders."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit import manifest
from vlmkit.errors import CheckpointError, RunError
from vlmkit.manifest import MANIFEST, check_folder, checksum, damaged_files, updating_manifest, write_manifest

Damage = Callable[[Path], object]
DAMAGES: dict[str, tuple[Damage, str]] = {
    "a flipped bit": (lambda file: file.write_bytes(b"12345679"), "expected the checksum xxh3_128 .*, found .*: the f"),
    "zeros": (lambda file: file.write_bytes(bytes(8)), "expected the checksum"),
    "cut short": (lambda file: file.write_bytes(b"1234"), "expected 8 bytes, found 4 bytes"),
    "gone": (lambda file: file.unlink(), "expected 8 bytes, found no file"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files, sealed."""
    (tmp_path / "part").mkdir()
    for name in ("a", "part/b"):
        (tmp_path / name).write_bytes(b"12345678")
    write_manifest(tmp_path, {"run": "mine"})
    return tmp_path


def test_a_whole_folder_gives_back_what_was_said_of_it(folder: Path) -> None:
    (folder / "README.md").write_text("a file that somebody has put there")
    assert check_folder(folder, "write it anew") == {"run": "mine"}
    assert damaged_files(folder) == []


@pytest.mark.parametrize(("damage", "said"), DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", ["a", "part/b"])
def test_damage_is_named(folder: Path, name: str, damage: Damage, said: str) -> None:
    damage(folder / name)
    remedy = rf"; write it anew; if the change is meant, remove .*{MANIFEST}"
    with pytest.raises(CheckpointError, match=rf"{name}: {said}.*{remedy}"):
        check_folder(folder, "write it anew")
    assert damaged_files(folder) == [folder / name]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": {"a": {}}}'])
def test_a_damaged_manifest_is_refused(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError, match=rf"{MANIFEST}: .*; write it anew"):
        check_folder(folder, "write it anew")
    with pytest.raises(RunError, match=rf"{MANIFEST}: .*; remove the folder"):
        damaged_files(folder)


def test_every_flipped_bit_of_the_manifest_is_seen(folder: Path) -> None:
    whole = (folder / MANIFEST).read_bytes()
    for place in range(0, 8 * len(whole), 7):
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        (folder / MANIFEST).write_bytes(flipped)
        with pytest.raises(CheckpointError):
            check_folder(folder, "write it anew")


def test_a_folder_without_manifest_is_taken_as_it_is(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / "a").write_bytes(b"other")
    assert check_folder(folder, "write it anew") == {}
    assert damaged_files(folder) is None


def test_what_is_written_anew_keeps_the_other_entries(folder: Path) -> None:
    (folder / "part/b").write_bytes(b"87654321")
    with updating_manifest(folder):
        (folder / "a").write_bytes(b"other")
        (folder / "c").write_bytes(b"new")
    with pytest.raises(CheckpointError, match="part/b: expected the checksum"):
        check_folder(folder, "write it anew")
    (folder / "part/b").write_bytes(b"12345678")
    assert check_folder(folder, "write it anew") == {}, "it is no longer what the run has written"
    (folder / "part/b").unlink()
    with updating_manifest(folder):
        pass
    assert list(json.loads((folder / MANIFEST).read_text())["files"]) == ["a", "c"]


def test_a_file_that_cannot_be_read_is_not_called_damaged(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(manifest, "checksum", fail)
    with pytest.raises(CheckpointError, match=r"a: cannot be read: Input/output error; correct what lies there"):
        check_folder(folder, "write it anew")


def test_a_file_that_is_not_touched_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest, "_known", {})
    file = tmp_path / "weights"
    file.write_bytes(b"x" * 3_000_000)
    first = checksum(file)
    assert first.bytes == 3_000_000
    assert not manifest._known, "a second change could bear the same time"
    monkeypatch.setattr(manifest.time, "time_ns", lambda: file.stat().st_mtime_ns + 10**9)
    assert checksum(file) == first
    assert len(manifest._known) == 1
    times = file.stat()
    file.write_bytes(b"x" * 2_999_999 + b"y")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    monkeypatch.setattr(manifest, "xxh3_128", manifest.xxh3_128)
    assert checksum(file) != first, "also where the time is set back"
