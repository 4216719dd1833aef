"""The folder that an export writes: empty, or what an earlier export wrote; whole, or as it was before.

Its manifest (checksums.json) lists the model's files, which loading compares, and under `export` those that people may
edit on the Hub, which nothing compares but the next export.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vlmkit.errors import RunError
from vlmkit.files import atomic_folder, is_file, is_folder
from vlmkit.json_files import read_record, write_record
from vlmkit.manifest import MANIFEST, Checksum, checksum

__all__ = ["check_free", "write_export_manifest", "writing_folder"]


class _ExportManifest(BaseModel):
    files: dict[str, Checksum]
    export: dict[str, Checksum]


def check_free(folder: Path, *, overwrite: bool) -> None:
    """Raise a RunError unless the folder is empty, or holds just what an earlier export wrote and may be replaced."""
    if not folder.exists():
        return
    if not is_folder(folder):
        raise RunError(f"{folder}: expected a folder to write, found a file; name another one")
    there = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if not is_folder(file)}
    if not there:
        return
    if not overwrite:
        raise RunError(f"{folder}: expected an empty folder, or none; name another one, or give --overwrite")
    written: dict[str, Checksum] = {}
    if is_file(folder / MANIFEST):
        found = read_record(folder / MANIFEST, dict[str, Any])
        if "export" in found:
            manifest = read_record(folder / MANIFEST, _ExportManifest)
            written = manifest.files | manifest.export
    foreign = [name for name, file in there.items() if name != MANIFEST and _differs(file, written.get(name))]
    if foreign or not written:
        listed = ", ".join(sorted(foreign)[:5])
        raise RunError(
            f"{folder}: expected what an earlier export wrote, and nothing else; found {len(foreign)} other or changed "
            f"files: {listed}; move them away, or name another folder"
        )


def _differs(file: Path, written: Checksum | None) -> bool:
    return written is None or not is_file(file) or checksum(file) != written


def write_export_manifest(folder: Path, files: Mapping[str, Checksum], export: Mapping[str, Checksum]) -> None:
    """Write the manifest: `files` are the model's, `export` those that people may edit."""
    write_record(folder / MANIFEST, {"export": export, "files": files})


@contextmanager
def writing_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `folder` when the block ends well. A RunError where that cannot be."""
    try:
        with atomic_folder(folder) as temporary:
            yield temporary
    except OSError as error:
        place = Path(str(error.filename or folder))
        if not place.is_relative_to(folder.parent):
            raise
        raise RunError(
            f"{folder}: cannot be written: {error.strerror or error}; name another folder, or make room there"
        ) from error
