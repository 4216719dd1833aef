"""Files of users and of runs: paths, text, writes that a kill or a power cut leaves whole or undone, locks."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vlmkit.errors import DataError, RunError, UserError, half_character, shown

__all__ = [
    "PARTIAL_SUFFIX",
    "UNREADABLE",
    "Locked",
    "atomic_folder",
    "decode",
    "expand_path",
    "file_sha256",
    "is_file",
    "is_folder",
    "link_file",
    "lock_file",
    "move_into_place",
    "read_bytes",
    "read_text",
    "saving_weights",
    "shipped_folder",
    "sync_to_disk",
    "whole_text",
    "write_atomic",
]


UNREADABLE = frozenset(
    (errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT)
)
"""Errors of the system for which the file is not at fault: to remove or write it anew would not help."""


def expand_path(path: str | Path) -> Path:
    """Return the path with a leading `~` or `~user` replaced. A DataError where there is no such home folder."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        home = Path(path).parts[0]
        raise DataError(f"{shown(str(path))}: `{home}` is no home folder here; write the whole path") from None


def shipped_folder(name: str) -> Path:
    """Return a folder that comes with vlmkit, e.g. `specs`: inside the installed package, beside it in a checkout."""
    package = Path(__file__).resolve().parent
    packaged = package / "_data" / name
    return packaged if packaged.is_dir() else package.parent / name


def file_sha256(path: Path) -> str:
    """Return the checksum of a regular file's content, in hexadecimal digits. A DataError where it cannot be read."""
    try:
        if not is_file(path) and path.exists():
            raise DataError(f"{path}: expected a file, found a folder, pipe or device")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        said = error.strerror or error
        raise DataError(f"{path}: it cannot be read: {said}; correct its path, or who may read it") from None


def is_file(path: Path) -> bool:
    """Return whether there is such a regular file: neither a pipe nor a device, which can block or never end."""
    return os.path.isfile(path)  # noqa: PTH113 -- Path.is_file raises for long names and zero bytes


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder, likewise."""
    return os.path.isdir(path)  # noqa: PTH112


def read_bytes(file: Path, expected: str, error: type[UserError] = DataError, remedy: str = "correct it") -> bytes:
    """Return the content of a regular file; `error` where it is missing or cannot be read.

    The message says what was `expected`, e.g. "a JSON list of questions", and ends with the `remedy`.
    """
    try:
        if not is_file(file) and file.exists():
            raise error(f"{file}: expected {expected}, found a folder, pipe or device; {remedy}")
        return file.read_bytes()
    except OSError as problem:
        what = "correct who may read it, or the disk" if problem.errno in UNREADABLE else remedy
        raise error(f"{file}: expected {expected}; it cannot be read: {problem.strerror or problem}; {what}") from None
    except ValueError as problem:  # a zero byte in the name
        if isinstance(problem, UserError):
            raise
        raise error(f"{shown(str(file))}: expected {expected}; no file has such a name: {problem}; {remedy}") from None


def read_text(file: Path, expected: str, error: type[UserError] = DataError, remedy: str = "correct it") -> str:
    """Return the text of a UTF-8 file, without the byte order mark that some editors put before it.

    Arguments and errors as those of `read_bytes`. Every line ends with a line feed, whatever ends it in the file.
    """
    content = read_bytes(file, expected, error, remedy)
    return decode(content, str(file), expected, error, remedy).replace("\r\n", "\n").replace("\r", "\n")


def decode(
    content: bytes, where: str, expected: str, error: type[UserError] = DataError, remedy: str = "correct it"
) -> str:
    """Return the text that is written in UTF-8, with or without a byte order mark; `error` where it is not."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise error(
            f"{where}: expected {expected} in UTF-8, found the byte 0x{problem.object[problem.start]:02x} at offset "
            f"{problem.start}; {remedy}"
        ) from None


def whole_text(value: str, where: str) -> str:
    """Return the text itself. A DataError where it has half of a pair of surrogates."""
    if half := half_character(value):
        raise DataError(f"{where}: {half!r} is half a character; correct it in {shown(value)}")
    return value


PARTIAL_SUFFIX = ".saving"
"""Ends the name of what is not complete."""

_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR)
"""Errors of file systems that cannot flush, or of which a folder cannot be opened."""


def sync_to_disk(path: Path) -> None:
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


def move_into_place(complete: Path, path: Path) -> None:
    """Give a complete file, or folder, its name. It is on the disk before, and bears the name on the disk after."""
    for file in sorted(complete.rglob("*")) if complete.is_dir() else ():
        sync_to_disk(file)
    sync_to_disk(complete)
    complete.replace(path)
    sync_to_disk(path.parent)


def write_atomic(path: Path, text: str) -> None:
    """Write a text file so that a reader finds the old one or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL_SUFFIX}")
    try:
        temporary.write_text(text, encoding="utf-8")
        move_into_place(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A folder to fill; when the block ends well it takes the place of `path`, otherwise it is removed."""
    temporary = path.with_name(f".{path.name}{PARTIAL_SUFFIX}")
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
    move_into_place(temporary, path)
    shutil.rmtree(old, ignore_errors=True)


def link_file(source: Path, target: Path) -> None:
    """Give a file, which is never written in place, a second name: a hard link, or a copy where there are no links."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


@contextmanager
def saving_weights(place: Path) -> Iterator[None]:
    """A RunError for what safetensors and torch raise where they cannot write, which is no OSError."""
    from safetensors import SafetensorError

    try:
        yield
    except (RuntimeError, SafetensorError) as error:
        said = str(error).partition("\n")[0]
        raise RunError(
            f"{place}: cannot be written: {said}; make room on the disk, if that is full, and run the command again"
        ) from error


_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL)
"""Answers of file systems that have no locks."""
_warned: set[int] = set()


class Locked(Exception):  # noqa: N818 -- it says what the file is
    """Another process holds the lock."""


@contextmanager
def lock_file(path: Path, *, wait: bool = False) -> Iterator[bool]:
    """Keep other processes out while the block runs, by a file that is made for this; yield whether they are kept out.

    `Locked` where another process holds the lock, unless that is to be waited for. On a disk without file locks, as
    many a cluster has, nothing keeps them out: that is said once on stderr.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=-1 if wait else 0, fallback_to_soft=False)  # a soft lock outlives a killed process
    try:
        lock.acquire()
    except Timeout:
        raise Locked(path) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _warn(path, error)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _warn(path: Path, error: OSError) -> None:
    disk = path.parent.stat().st_dev
    if disk in _warned:
        return
    _warned.add(disk)
    print(
        f"warning: {path.parent}: this disk has no file locks ({error.strerror}): nothing keeps two processes apart; "
        "let only one at a time work on this folder",
        file=sys.stderr,
    )
