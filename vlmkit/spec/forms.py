"""Texts of a spec that have a form."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["FORMS", "Name", "Sha256"]

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
