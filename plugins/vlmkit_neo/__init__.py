"""NEO (arXiv:2510.14979, code EvolvingLMMs-Lab/NEO), native vision-language models without a vision tower: the aligner
`neo`, and the layers `neo` inside the language model."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner and the layers."""
    from vlmkit_neo.native_layers import NeoLayersSpec
    from vlmkit_neo.neo_aligner import NeoAlignerSpec

    return [NeoAlignerSpec, NeoLayersSpec]
