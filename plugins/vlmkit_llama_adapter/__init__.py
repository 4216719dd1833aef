"""LLaMA-Adapter V2, multimodal (arXiv:2304.15010, code OpenGVLab/LLaMA-Adapter): the aligner `llama-adapter`, which
gives prompts, and the layers `llama-adapter`, which read them; the names of tensors in released checkpoints.

Written from a description of what the code computes, without any of the code, which is under the GPL.
"""

from collections.abc import Sequence

from vlmkit import hookimpl
from vlmkit.api import ComponentSpec, PublishedFormat

__all__ = ["VLMKIT_API", "vlmkit_components", "vlmkit_published"]

VLMKIT_API = 1


@hookimpl
def vlmkit_components() -> Sequence[type[ComponentSpec]]:
    """The aligner and the layers."""
    from vlmkit_llama_adapter.prompt_layers import LlamaAdapterLayersSpec
    from vlmkit_llama_adapter.spec import LlamaAdapterSpec

    return [LlamaAdapterSpec, LlamaAdapterLayersSpec]


@hookimpl
def vlmkit_published() -> Sequence[PublishedFormat]:
    """The released checkpoints."""
    from vlmkit_llama_adapter.released_adapters import LLAMA_ADAPTER

    return [LLAMA_ADAPTER]
