"""Writing files and folders so that a kill at any moment, a power cut or a full disk leaves no half file."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from vlmkit.errors import RunError

__all__ = ["SAVING", "atomic_folder", "flush", "replace", "saving_weights", "write_atomic"]

SAVING = ".saving"
"""Ends the name of what is not complete."""

_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR)
"""What file systems answer that cannot flush, or of which a folder cannot be opened."""


def flush(path: Path) -> None:
    """Wait until a file, or what a folder lists, is on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        if path.is_dir() and error.errno in _CANNOT:
            return
        raise
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(handle)


def replace(complete: Path, path: Path) -> None:
    """Give a complete file, or folder, its name. It is on the disk before, and bears the name on the disk after."""
    for file in sorted(complete.rglob("*")) if complete.is_dir() else ():
        flush(file)
    flush(complete)
    complete.replace(path)
    flush(path.parent)


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that a reader finds the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{SAVING}")
    try:
        temporary.write_text(text, encoding="utf-8")
        replace(temporary, path)
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
    replace(temporary, path)
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
