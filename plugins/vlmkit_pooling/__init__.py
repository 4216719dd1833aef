"""Downsamplers that stand in for Video-Panda's window attention: averages, latents that resample, or nothing."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The five downsamplers."""
    from vlmkit_pooling.spec import AdaptivePoolSpec, AvgPoolSpec, HalfResolutionSpec, NoneSpec, PerceiverSpec

    return [AdaptivePoolSpec, AvgPoolSpec, HalfResolutionSpec, NoneSpec, PerceiverSpec]
