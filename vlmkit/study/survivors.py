"""The designs that are to be trained, as a study file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from vlmkit.files import expand_path, is_file, write_atomic
from vlmkit.spec.yaml import write
from vlmkit.study.designs import DesignSpace, Explored
from vlmkit.study.rows import load_study

__all__ = ["write_study"]


def write_study(explored: Explored, file: Path) -> Path:
    """Write the study file of the survivors, with the base as its first row, and return it.

    A SpecError where it is not a study that can be run.
    """
    spec = explored.space.spec
    runs = spec.runs.model_dump(mode="json", exclude_unset=True)
    chosen = [explored.designs[place] for place in explored.survivors]
    study: dict[str, Any] = {
        "vlmkit": spec.vlmkit,
        "study": spec.design,
        "title": spec.title or f"Designs of {spec.design}",
        "base": {"spec": _seen_from(explored.space, file.parent), "label": "base"},
        "set": {**spec.set, **runs.pop("set", {})},
        **runs,
        "variants": [{"name": design.name, "label": design.label, "set": dict(design.changes)} for design in chosen],
    }
    if not study["set"]:
        del study["set"]
    head = f"# Written by `vlmkit design {os.path.relpath(explored.space.file)}`; run by `vlmkit ablate`.\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, head + write(study))
    load_study(file)
    return file


def _seen_from(space: DesignSpace, folder: Path) -> str:
    """Return how a study file in a folder names the base: by its relative path, a shipped one as the space does."""
    named = expand_path(space.spec.base)
    found = next((path for path in (space.file.parent / named, named) if is_file(path)), None)
    return space.spec.base if found is None else os.path.relpath(found.resolve(), folder.resolve())
