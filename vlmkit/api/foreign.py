"""What other libraries raise over users' files, as one message. It needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmkit.errors import UserError
from vlmkit.files import UNREADABLE, is_file, is_folder

__all__ = ["POINTER", "first_line", "is_pointer", "quiet_transformers", "reading", "refuse_pointers"]

POINTER = (
    "a pointer of Git LFS that stands for the file; run `git lfs pull` in its folder, or download the folder again"
)
"""What to say of a file that is one."""
_BEGIN = b"version https://git-lfs.github.com/spec/"
_KIND = re.compile(r"^\w*Error: ")
_CODE = "trust_remote_code"
"""What transformers tells people to set where a folder wants to run code of its own."""


@contextmanager
def reading(
    expected: str,
    remedy: str,
    error: type[UserError] = UserError,
    folder: Path | None = None,
    blame: Callable[[], str] = str,
) -> Iterator[None]:
    """Raise `error` for whatever a library raises over what a user gave it.

    A UserError passes as it is, and so do running out of memory and being interrupted.

    Args:
        expected: begins the message: what could not be read, and where.
        remedy: ends the message: what to do.
        error: what is raised.
        folder: where the files are; those of them that are pointers of Git LFS are named.
        blame: finds out what is wrong, for the message, or nothing.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except BaseException as problem:
        # a panic of a library in Rust is no Exception
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        if type(problem).__name__ == "OutOfMemoryError":  # torch's, of an accelerator
            raise
        if isinstance(problem, OSError) and problem.errno in UNREADABLE:
            where = f"{expected} ({problem.filename})" if problem.filename else expected
            raise error(
                f"{where}: cannot be read: {problem.strerror}; correct who may read it, or the disk, and try again"
            ) from problem
        if folder is not None:
            refuse_pointers(folder, error)
        found = blame()
        raise error(f"{expected}: {found}{': ' if found else ''}{_said(problem)}; {remedy}") from problem


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence what transformers says of a folder besides errors: what matters of it is in our own messages."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _said(problem: BaseException) -> str:
    if _CODE in str(problem):
        return (
            "it needs Python code that comes with it (`auto_map`), and code from a model's folder is never run; give a "
            "model that transformers itself knows"
        )
    if isinstance(problem, KeyError):
        return f"there is no {first_line(problem)}"
    return first_line(problem)


def first_line(problem: BaseException) -> str:
    """Return what an error says, without the advice below it."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    if not lines:
        return type(problem).__name__
    if lines[0].endswith(":") and len(lines) > 1:  # what failed; why stands below
        return _KIND.sub("", lines[1])
    return lines[0]


def is_pointer(file: Path) -> bool:
    """Return whether a clone without Git LFS left its pointer in the place of the file."""
    try:
        with file.open("rb") as stream:
            return stream.read(len(_BEGIN)) == _BEGIN
    except OSError:
        return False


def refuse_pointers(folder: Path, error: type[UserError] = UserError) -> None:
    """Raise `error` where files of the folder are pointers of Git LFS."""
    files = sorted(folder.iterdir()) if is_folder(folder) else []
    if found := [file.name for file in files if is_file(file) and is_pointer(file)]:
        raise error(f"{folder}: {', '.join(found)}: expected the content of the file, found {POINTER}")
