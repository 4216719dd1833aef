"""Readers of video files: `decord`, which seeks where that gives the right frames and decodes in order elsewhere."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ReaderSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ReaderSpec]]:
    """Return the readers."""
    from vlmkit_readers.spec import DecordSpec

    return [DecordSpec]
