"""Files and their texts, whatever the data says of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from vlmkit.errors import DataError

__all__ = ["file_sha256", "is_file", "is_folder", "whole_text"]


def file_sha256(path: Path) -> str:
    """The checksum of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_file(path: Path) -> bool:
    """Whether there is such a file. No file has a name that is too long, for which `Path.is_file` raises."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, likewise."""
    return os.path.isdir(path)  # noqa: PTH112


def whole_text(value: str, where: str) -> str:
    """The text itself. A DataError where it has half of a pair of surrogates.

    JSON can write that, but no tokenizer takes it and no file can hold it.
    """
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{where}: {value[error.start]!r} is half a character; correct it in {value[:80]!r}") from None
    return value
