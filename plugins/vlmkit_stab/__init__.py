"""Video-Panda's Spatio-Temporal Alignment Block (arXiv:2412.18609): the aligner `stab`, the downsampler `lsd` that it
shares with EVE, and the format of the released checkpoints."""

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
    """The aligner and the downsampler."""
    from vlmkit_stab.spec import LsdSpec, StabSpec

    return [LsdSpec, StabSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released Video-Panda checkpoints."""
    from vlmkit_stab.checkpoint_names import VIDEO_PANDA

    return [VIDEO_PANDA]
