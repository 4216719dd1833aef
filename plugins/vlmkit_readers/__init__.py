"""Readers of video files: `decord`, which seeks where that gives the right frames and decodes in order elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmkit import hookimpl

if TYPE_CHECKING:
    from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """Return the readers."""
    from vlmkit_readers.spec import DecordSpec

    return [DecordSpec]
