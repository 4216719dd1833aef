"""Pins: checksums and counts of annotation files on this machine, where the entry of a benchmark cannot state them.

They are kept in a file of the user's, `$VLMKIT_PINS` or else `$XDG_CONFIG_HOME/vlmkit/pins.yaml` (by default below
`~/.config`), by benchmark and split, and verified from then on as those of an entry are.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from vlmkit.errors import SHA256_PATTERN, DataError, from_pydantic
from vlmkit.files import expand_path, is_file, write_atomic
from vlmkit.spec.yaml import read as read_yaml
from vlmkit.spec.yaml import write as write_yaml

if TYPE_CHECKING:
    from vlmkit.benchmarks.entries import Benchmark, Split

__all__ = ["Pin", "add_pins", "pinned", "pins_file"]

_Sha256 = Annotated[str, Field(pattern=SHA256_PATTERN)]
_Count = Annotated[int, Field(ge=1)]


class Pin(BaseModel):
    """The content of one split on this machine, as far as its entry does not say it."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    questions: _Count | None = None
    videos: _Count | None = None
    files: dict[str, _Sha256] = {}
    """sha256 by the name that the entry has for the file."""


_Pins = dict[str, dict[str, Pin]]
_PINS: TypeAdapter[_Pins] = TypeAdapter(_Pins)


def pins_file() -> Path:
    """Return where the pins of this user are kept."""
    if own := os.environ.get("VLMKIT_PINS"):
        return expand_path(own)
    return expand_path(Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config") / "vlmkit" / "pins.yaml")


def _read() -> _Pins:
    file = pins_file()
    if not is_file(file):
        return {}
    try:
        return _PINS.validate_python(read_yaml(file, "pins of benchmarks", DataError).data)
    except ValidationError as error:
        [problem, *_] = from_pydantic(error)
        path = ".".join(map(str, problem.path))
        raise DataError(f"{file}: {path}: {problem.message}; correct it, or remove it and pin again") from None


def pinned(benchmark: Benchmark) -> Benchmark:
    """Return the entry with the checksums and counts that it lacks and the user has pinned.

    A DataError where the file of the pins is malformed.
    """
    pins = _read().get(benchmark.name, {})
    splits = {name: _filled(split, pins[name]) if name in pins else split for name, split in benchmark.splits.items()}
    return benchmark.model_copy(update={"splits": splits})


def _filled(split: Split, pin: Pin) -> Split:
    files = [
        file if file.sha256 else file.model_copy(update={"sha256": pin.files.get(file.name)}) for file in split.files
    ]
    counts = {"questions": split.questions or pin.questions, "videos": split.videos or pin.videos}
    return split.model_copy(update={**counts, "files": tuple(files)})


def add_pins(name: str, pins: dict[str, Pin]) -> Path:
    """Write pins of a benchmark, by split, in place of those that these splits have; return their file.

    A DataError where it cannot be written.
    """
    file, known = pins_file(), _read()
    known[name] = {**known.get(name, {}), **pins}
    text = write_yaml(_PINS.dump_python(known, exclude_defaults=True))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, f"# Written by `vlmkit benchmarks pin`.\n{text}")
    except OSError as error:
        raise DataError(f"{file}: it cannot be written: {error.strerror}; set VLMKIT_PINS to a file that can") from None
    return file
