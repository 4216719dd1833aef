"""NEO (arXiv:2510.14979), native vision-language models without a vision tower: the aligner `neo`."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner."""
    from vlmkit_neo.neo_aligner import NeoAlignerSpec

    return [NeoAlignerSpec]
