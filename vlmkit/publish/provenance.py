"""The model and the environment of a capsule: noted when it is written, compared when it is verified."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlmkit.manifest import MANIFEST
from vlmkit.publish.capsule_record import CAPSULE, HashedFile
from vlmkit.runtime import environment

__all__ = ["changed_files", "environment_differences", "environment_of", "model_files"]

_SUFFIXES = (".jinja", ".json", ".model", ".safetensors", ".txt")
"""Of the files that a model and its processor are loaded from."""


def environment_of() -> dict[str, Any]:
    """Return what the numbers of a model may depend on: versions, platform, threads and devices."""
    found = environment()
    return {**found, "plugins": sorted({plugin["package"] for plugin in found["plugins"]})}


def environment_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return in words where two environments differ, the packages first."""
    packages, here = before.get("packages", {}), now["packages"]
    return [
        f"{name} {packages.get(name, 'absent')} in the capsule, {here.get(name, 'absent')} here"
        for name in sorted({*packages, *here})
        if packages.get(name) != here.get(name)
    ] + [
        f"{name.replace('_', ' ')}: {_text(before.get(name))} in the capsule, {_text(now.get(name))} here"
        for name in sorted({*before, *now} - {"packages"})
        if before.get(name) != now.get(name)
    ]


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)


def model_files(folder: Path) -> dict[str, HashedFile]:
    """Return the files of a saved model by name."""
    files = (file for file in sorted(folder.iterdir()) if file.suffix in _SUFFIXES and file.is_file())
    return {file.name: HashedFile.of(file) for file in files if file.name not in (CAPSULE, MANIFEST)}


def changed_files(before: Mapping[str, HashedFile], folder: Path) -> list[str]:
    """Return the files of a model that are missing, or are not what they were."""
    now = model_files(folder)
    return [name for name, entry in before.items() if now.get(name) != entry]
