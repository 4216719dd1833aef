"""What files and their texts can be, whatever the data says of them."""

from __future__ import annotations

import os
from pathlib import Path

from vlmkit.errors import DataError

__all__ = ["is_file", "is_folder", "whole_text"]


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
