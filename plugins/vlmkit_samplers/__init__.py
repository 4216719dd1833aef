"""Samplers of frames: the rules of the published models, and so many frames per second."""

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
    """The components of this plugin."""
    from vlmkit_samplers.spec import (
        FpsSpec,
        OneFpsSpec,
        ReferenceSpec,
        SegmentCentreSpec,
        SegmentMidpointSpec,
        UniformSpec,
    )

    return [FpsSpec, OneFpsSpec, ReferenceSpec, SegmentCentreSpec, SegmentMidpointSpec, UniformSpec]
