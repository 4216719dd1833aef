"""Language models: `hf-causal-lm` takes any decoder of transformers, from a folder, the hub or a config in the spec."""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import BackboneSpec

__all__ = ["VLMKIT_API", "vlmkit_components"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[BackboneSpec]]:
    """Return the backbones."""
    from vlmkit_backbones.spec import HfCausalLmSpec

    return [HfCausalLmSpec]
