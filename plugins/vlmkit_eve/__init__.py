"""EVE's patch embedding layer (arXiv:2406.11832), applied to each frame on its own: the aligner `eve`, and the format
of the released checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlmkit import hookimpl

if TYPE_CHECKING:
    from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner."""
    from .spec import EveSpec

    return [EveSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released EVE checkpoints."""
    from .published import EVE

    return [EVE]
