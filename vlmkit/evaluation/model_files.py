"""Which model answers, told by its files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlmkit.files import expand_path, file_sha256, is_file, is_folder
from vlmkit.manifest import MANIFEST
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

__all__ = ["model_sha256"]

_KEYS = ("path", "weights", "tokenizer")


def model_sha256(spec: ExperimentSpec, run: RunFolder) -> str:
    """The checksum of all files that the run's model is loaded from.

    Of a spec that trains nothing these are the files and folders that its `model` names under `path`, `weights` and
    `tokenizer`; what comes from a hub, or is drawn from the seed, is told by the spec itself.
    """
    own = (expand_path(name) for name in _names(spec.model.model_dump(mode="json")))
    named = [run.model] if run.model.is_dir() else own
    digest = hashlib.sha256()
    for path in named:
        for file in _files(path):
            digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def _names(node: Any) -> Iterator[str]:
    for key, value in node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ():
        if isinstance(value, str) and key in _KEYS:
            yield value
        yield from _names(value)


def _files(path: Path) -> list[Path]:
    if is_folder(path):
        return sorted(file for file in path.iterdir() if is_file(file) and file.name != MANIFEST)
    return [path] if is_file(path) else []
