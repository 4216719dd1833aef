"""Writing files and folders so that a kill at any moment, or a full disk, leaves no part of one in its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from vlmkit.errors import RunError

__all__ = ["SAVING", "atomic_folder", "saving_weights", "write_atomic"]

SAVING = ".saving"
"""Ends the name of what is not complete."""


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that a reader finds the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{SAVING}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends well it takes the place of `path`, otherwise it is removed."""
    temporary = path.with_name(f".{path.name}{SAVING}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    old = path.with_name(f".{path.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if path.exists():
        path.rename(old)
    temporary.rename(path)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def saving_weights(place: Path) -> Iterator[None]:
    """A RunError for what safetensors and torch raise where they cannot write, which is no OSError."""
    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        said = str(error).partition("\n")[0]
        raise RunError(
            f"{place}: cannot be written: {said}; make room on the disk, if that is full, and run the command again"
        ) from error
