"""The files of a released checkpoint on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlmkit.api.folder import INDEX, STANDARD, read_index, read_mapping
from vlmkit.api.weights import Stored, open_shard
from vlmkit.errors import CheckpointError
from vlmkit.files import is_file, is_folder

__all__ = ["ReleasedFiles", "Stored", "open_shard"]


class ReleasedFiles:
    """A folder in the layout of transformers, or one file of weights.

    `index` maps names to the files that should hold them; it is empty where there is a single file.
    """

    def __init__(self, path: Path) -> None:
        self.folder = path if is_folder(path) else path.parent
        self.index: dict[str, str] = {}
        if is_file(path):
            self.files = [path]
            return
        if not is_folder(path):
            raise CheckpointError(f"{path}: expected the folder of a released checkpoint; there is no such folder")
        found = next((path / name for name in STANDARD if is_file(path / name)), None)
        if found is None:
            raise CheckpointError(f"{path}: expected one of {', '.join(STANDARD)}; found none of them")
        self.files = [found]
        if found.name.endswith(INDEX):
            self.index = read_index(found)
            self.files = [path / shard for shard in sorted(set(self.index.values()))]

    def config(self) -> dict[str, Any] | None:
        """`config.json`, or None where there is none."""
        file = self.folder / "config.json"
        return read_mapping(file) if is_file(file) else None
