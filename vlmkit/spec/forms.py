"""Texts of a spec that have a form, and files that it names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

__all__ = ["FORMS", "Name", "Sha256", "is_file", "is_folder"]

_NAME = r"^[a-z0-9][a-z0-9._-]*$"
_SHA256 = r"^[0-9a-f]{64}$"

Name = Annotated[str, Field(pattern=_NAME, max_length=100)]
"""A name that becomes the name of a file or folder."""
Sha256 = Annotated[str, Field(pattern=_SHA256)]
"""A checksum, hexadecimal."""

FORMS = {
    _NAME: "lower-case letters, digits, `.`, `_` and `-`, starting with a letter or digit",
    _SHA256: "64 hexadecimal digits, letters in lower case",
}
"""By pattern, what people say."""


def is_file(path: Path) -> bool:
    """Whether there is such a file. No file has a name that is too long, for which `Path.is_file` raises."""
    return os.path.isfile(path)  # noqa: PTH113


def is_folder(path: Path) -> bool:
    """Whether there is such a folder, likewise."""
    return os.path.isdir(path)  # noqa: PTH112
