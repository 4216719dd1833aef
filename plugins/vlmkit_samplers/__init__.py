"""Samplers of frames: the rules of the published models, and so many frames per second."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The components of this plugin."""
    from vlmkit_samplers import spec

    return [
        spec.FpsSpec,
        spec.InteriorPointsSpec,
        spec.OneFpsSpec,
        spec.ReferenceSpec,
        spec.SegmentCentreSpec,
        spec.SegmentMiddleSpec,
        spec.SegmentMidpointSpec,
        spec.SegmentStartSpec,
        spec.StrideSpec,
        spec.UniformSpec,
    ]
