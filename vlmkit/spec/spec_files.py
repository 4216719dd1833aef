"""Where spec files are: those of the user, and those that vlmkit ships."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from vlmkit.errors import SpecError, closest_name
from vlmkit.files import expand_path, is_file, is_folder, shipped_folder

__all__ = ["find_beside", "find_spec"]


def find_spec(path: Path) -> Path:
    """Return the file itself, or the shipped spec of that name. A SpecError that lists the shipped ones."""
    return _find(path, path, f"here ({Path.cwd()})")


def find_beside(file: Path, named: str) -> Path:
    """Return the file that a spec or study file names: relative to it, or else the shipped spec of that name.

    A SpecError that lists the shipped ones.
    """
    path = expand_path(named)
    return _find(file.parent / path, path, f"seen from {file.parent}")


def _find(place: Path, named: Path, seen: str) -> Path:
    if is_file(place):
        return place
    if (shipped := _shipped(named)) is not None:
        return shipped
    if is_folder(place):
        raise SpecError(f"{named}: expected a spec file, found a folder; name a file in it")
    if os.path.exists(place):  # noqa: PTH110 -- Path.exists raises for names that are too long
        raise SpecError(f"{named}: expected a spec file, found a pipe or device; name a regular file")
    raise SpecError(f"{str(named)[:200]}: there is no such spec file {seen}; {_listed(named)}")


def _shipped(path: Path) -> Path | None:
    inside = path.relative_to("specs") if path.parts[:1] == ("specs",) else path
    shipped = shipped_folder("specs") / inside
    return shipped if not path.is_absolute() and is_file(shipped) else None


def _listed(path: Path) -> str:
    """Return a hint at the nearest of the specs that vlmkit ships, and all of them."""
    folder = shipped_folder("specs")
    files = sorted(found.relative_to(folder) for found in folder.rglob("*.yaml"))
    stems = {file.stem: file for file in files}
    hint = f"did you mean specs/{stems[close]}? " if (close := closest_name(path.stem, stems)) else ""
    names = [f"specs/{file}" for file in files if len(file.parts) == 1]
    below = Counter(file.parts[0] for file in files if len(file.parts) > 1)
    names += [f"{count} in specs/{name}" for name, count in below.items()]
    return f"{hint}shipped specs: {', '.join(names)}"
