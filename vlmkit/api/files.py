"""Files and their texts, whatever the data says of them: paths, checksums, text and JSON."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from pathlib import Path
from typing import Any

from vlmkit.errors import DataError, UserError, shown

__all__ = [
    "UNREADABLE",
    "decode",
    "expand_path",
    "file_sha256",
    "is_file",
    "is_folder",
    "parse_json",
    "read_bytes",
    "read_json",
    "read_text",
    "whole_text",
]


UNREADABLE = frozenset(
    (errno.EACCES, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EPERM, errno.ESTALE, errno.ETIMEDOUT)
)
"""What the system answers where not the file is at fault: to remove or write it anew would not help."""


def expand_path(path: str | Path) -> Path:
    """Return the path with a leading `~` or `~user` replaced by that home folder.

    Raises:
        DataError: there is no such user, or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise DataError(
            f"{shown(str(path))}: `{Path(path).parts[0]}` is no home folder here; write the whole path"
        ) from None


def file_sha256(path: Path) -> str:
    """Return the checksum of a regular file's content, in hexadecimal digits. A DataError where it cannot be read."""
    try:
        if not is_file(path) and path.exists():
            raise DataError(f"{path}: expected a file, found a folder, pipe or device")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(
            f"{path}: it cannot be read: {error.strerror or error}; correct its path, or who may read it"
        ) from None


def is_file(path: Path) -> bool:
    """Return whether there is such a regular file: neither a pipe nor a device, which can block or never end.

    No file has a name that is too long or holds a zero byte, for which `Path.is_file` raises.
    """
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Return whether there is such a folder, likewise."""
    return os.path.isdir(path)  # noqa: PTH112


def read_bytes(file: Path, expected: str, error: type[UserError] = DataError, remedy: str = "correct it") -> bytes:
    """Return the content of a file.

    Args:
        file: a regular file.
        expected: what the file should be, for the message, e.g. "a JSON list of questions".
        error: what is raised where the file is missing, no regular file, or not readable.
        remedy: what to do then, which ends the message.
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

    Arguments and errors as those of `read_bytes`; `error` also where the file is not UTF-8. Every line ends with a line
    feed, whatever ends it in the file.
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


def parse_json(
    text: str | bytes,
    where: str,
    expected: str = "JSON",
    error: type[UserError] = DataError,
    remedy: str = "correct it",
) -> Any:
    """Return what JSON stands for.

    Args:
        text: UTF-8, with or without a byte order mark.
        where: file and line, for the message.
        expected: what it should be, e.g. "a JSON object per line".
        error: what is raised where this is no JSON, holds a whole number of more than 4,300 digits, or nests lists and
            objects hundreds of levels deep.
        remedy: what to do then, which ends the message.
    """
    if isinstance(text, bytes):
        text = decode(text, where, expected, error, remedy)
    try:
        return json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise error(f"{where}: expected {expected}; its lists and objects are nested too deeply; {remedy}") from None
    except json.JSONDecodeError as problem:
        raise error(f"{where}: expected {expected}; this is no JSON: {problem}; {remedy}") from None
    except ValueError as problem:  # more digits than Python reads
        said = str(problem).partition(";")[0]
        raise error(f"{where}: expected {expected}; a number in it has too many digits ({said}); {remedy}") from None


def read_json(
    file: Path, expected: str = "JSON", error: type[UserError] = DataError, remedy: str = "correct it"
) -> Any:
    """Return what a file of JSON stands for. Arguments and errors as those of `read_text` and `parse_json`."""
    return parse_json(read_text(file, expected, error, remedy), str(file), expected, error, remedy)


def whole_text(value: str, where: str) -> str:
    """Return the text itself. A DataError where it has half of a pair of surrogates.

    JSON can write that, but no tokenizer takes it and no file can hold it.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {value[error.start]!r} is half a character; correct it in {shown(value)}") from None
    return value
