"""Checksums (xxh3, 128 bits) of files, and manifests: JSON that holds them for a folder.

A manifest is written last: it says that the files are complete.

{…, "files": {"weights.safetensors": {"bytes": 4096, "xxh3_128": "…"}}, "checksum": "…"}
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from xxhash import xxh3_128

from vlmkit.errors import CheckpointError, RunError, UserError
from vlmkit.files import is_folder, sync_to_disk
from vlmkit.json_files import read_record, write_record

__all__ = [
    "MANIFEST",
    "MODEL_REMEDY",
    "Checksum",
    "check_files",
    "check_folder",
    "check_saved",
    "checksum",
    "damaged_files",
    "file_entries",
    "noted_files",
    "updating_manifest",
    "write_manifest",
]

MANIFEST = "checksums.json"
"""Name of the manifest of a folder that has nothing else to say of itself."""

MODEL_REMEDY = "write or copy the folder anew (that of a run: remove it, and `vlmkit train` writes it again)"
"""The remedy for a damaged folder of a model."""

_BLOCK = 1 << 20
_FRESH = 100_000_000
"""Nanoseconds in which a second change of a file can bear the time of the first."""


class Checksum(BaseModel):
    """Size and hash of a file."""

    bytes: int
    xxh3_128: str


Files = Mapping[str, Checksum]
"""By path in the folder."""


class _Manifest(BaseModel):
    model_config = ConfigDict(extra="allow")

    files: dict[str, Checksum]


_known: dict[tuple[int, ...], Checksum] = {}


def checksum(file: Path) -> Checksum:
    """Return size and checksum of a file. A file that is not touched is read once in a process."""
    with file.open("rb", buffering=0) as stream:
        found = os.fstat(stream.fileno())
        key = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        if key not in _known:
            digest, block = xxh3_128(), memoryview(bytearray(_BLOCK))
            size = 0
            while count := stream.readinto(block):
                digest.update(block[:count])
                size += count
            read = Checksum(bytes=size, xxh3_128=digest.hexdigest())
            if time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) < _FRESH:
                return read
            _known[key] = read
    return _known[key]


def file_entries(folder: Path, files: Iterable[Path], *, flushed: bool = True) -> dict[str, Checksum]:
    """Return the checksums of these files of a folder, by path in it, once they are on the disk.

    A file is hashed while the disk takes it, so that hashing costs little time of its own.
    """
    entries = {}
    with ThreadPoolExecutor(1) as pool:
        for file in files:
            flushing = pool.submit(sync_to_disk, file) if flushed else None
            entries[file.relative_to(folder).as_posix()] = checksum(file)
            if flushing is not None:
                flushing.result()
    return entries


def check_files(folder: Path, files: Files, remedy: str, error: type[UserError] = CheckpointError) -> None:
    """Raise an error, which ends with `remedy`, where a file is missing or is not what its entry says."""
    for name, entry in files.items():
        file = folder / name
        try:
            found = checksum(file)
        except FileNotFoundError:
            raise error(f"{file}: expected {entry.bytes} bytes, found no file; {remedy}") from None
        except OSError as problem:
            raise error(
                f"{file}: cannot be read: {problem.strerror}; correct what lies there, or who may read it"
            ) from None
        if found.bytes != entry.bytes:
            raise error(f"{file}: expected {entry.bytes} bytes, found {found.bytes} bytes; {remedy}")
        if found != entry:
            raise error(
                f"{file}: expected the checksum xxh3_128 {entry.xxh3_128}, found {found.xxh3_128}: the file was "
                f"damaged, or changed, since it was written; {remedy}"
            )


def write_manifest(folder: Path, state: Mapping[str, Any] | None = None, *, flushed: bool = True) -> None:
    """Write the manifest of all files of a folder, hidden ones left out, and what else it should say.

    Files that can be made again need not be `flushed` to the disk: that a power cut shows is enough, and waiting for
    thousands takes long.
    """
    files = file_entries(folder, _files(folder), flushed=flushed)
    write_record(folder / MANIFEST, {**(state or {}), "files": files})


def damaged_files(folder: Path) -> list[Path] | None:
    """Return the files that are missing, or not what the manifest of their folder says; None where there is none.

    A RunError where the manifest itself is damaged.
    """
    if not (manifest := folder / MANIFEST).is_file():
        return None
    files = read_record(manifest, _Manifest, f"remove the folder {folder}").files
    return [file for name, entry in files.items() if not (file := folder / name).is_file() or checksum(file) != entry]


def check_folder(folder: Path, remedy: str, error: type[UserError] = CheckpointError) -> dict[str, Any]:
    """Return what else the manifest of a folder says; nothing of a folder without one, which is taken as it is.

    Files that the manifest does not name may lie beside the others. An error where a file is not what it says.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return {}
    meant = f"{remedy}; if the change is meant, remove {manifest}"
    found = _read(manifest, meant, error)
    check_files(folder, found.files, meant, error)
    return found.model_extra or {}


def noted_files(folder: Path, remedy: str) -> Files:
    """Return what the manifest of a folder has noted of its files; nothing where it has none. No file is read again.

    A CheckpointError, which ends with `remedy`, where the manifest itself is damaged.
    """
    manifest = folder / MANIFEST
    return _read(manifest, remedy, CheckpointError).files if manifest.is_file() else {}


def check_saved(path: object, *, subfolder: str | None = None) -> None:
    """Raise a CheckpointError where `path`, as `from_pretrained` takes it, is a folder with a file that is damaged."""
    folder = Path(str(path), subfolder or "")
    if is_folder(folder):
        check_folder(folder, MODEL_REMEDY)


@contextmanager
def updating_manifest(folder: Path) -> Iterator[None]:
    """Bring the manifest of a folder up to date with what is written there meanwhile; other entries stay."""
    before = {file: _state(file) for file in _files(folder)} if folder.is_dir() else {}
    yield
    if not folder.is_dir():
        return
    noted = noted_files(folder, f"remove {folder / MANIFEST}")
    now = list(_files(folder))
    names = {file.relative_to(folder).as_posix() for file in now}
    written = file_entries(folder, [file for file in now if before.get(file) != _state(file)])
    kept = {name: entry for name, entry in noted.items() if name in names}
    write_record(folder / MANIFEST, {"files": kept | written})


def _files(folder: Path) -> Iterator[Path]:
    found = (file for file in sorted(folder.rglob("*")) if file.is_file() and file.name != MANIFEST)
    return (file for file in found if not file.name.startswith("."))


def _state(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(manifest: Path, remedy: str, error: type[UserError]) -> _Manifest:
    try:
        return read_record(manifest, _Manifest, remedy)
    except RunError as problem:
        raise error(str(problem)) from None
