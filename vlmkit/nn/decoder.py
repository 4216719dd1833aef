"""Decoder layers of a language model of transformers, for components that change what they compute.

Shape letters: B sequences, S positions of this pass, K positions with the cached ones, h heads, d channels of a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.llama.modeling_llama import eager_attention_forward

from vlmkit.errors import shown

__all__ = ["cached_attention", "decoder_layers", "extend_class", "rotate"]


def decoder_layers(backbone: PreTrainedModel, families: Sequence[str]) -> nn.ModuleList:
    """Return the decoder layers of an LLM. A ValueError where it is of none of these families (`model_type`)."""
    found = getattr(backbone.config, "model_type", None)
    if found not in families:
        raise ValueError(f"expected a backbone of the family {' or '.join(families)}, found {shown(found)}")
    layers = backbone.get_decoder().layers
    assert isinstance(layers, nn.ModuleList)
    return layers


def extend_class(module: nn.Module, mixin: type, **attributes: Any) -> None:
    """Put the methods of `mixin` before those of the module's own class, as a subclass of the same name.

    Its weights keep their names, and whoever looks for its class still finds it: hooks that record hidden states,
    recomputation of activations. `attributes` are set on the module without becoming submodules of it.
    """
    cls: Any = type(module)  # classes are hashable, whatever `nn.Module` says of its objects
    module.__class__ = _subclass(mixin, cls)
    for name, value in attributes.items():
        object.__setattr__(module, name, value)


@lru_cache
def _subclass(mixin: type, cls: type) -> type:
    return type(cls.__name__, (mixin, cls), {"__module__": cls.__module__})


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Return (B, h, S, d) vectors turned by (B, S, d) angles, the two halves of d being the pairs (RoFormer,
    arXiv:2104.09864, in the layout of transformers)."""
    first, second = x.chunk(2, -1)
    return x * cos[:, None] + torch.cat([-second, first], -1) * sin[:, None]


def cached_attention(
    attention: Any, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, cache: Any, **options: Any
) -> Tensor:
    """Return (B, S, h * d) attention of the LLM's own kind (`attn_implementation`), before its output projection.

    Args:
        attention: the LLM's module, for its settings and its place in the cache.
        query: (B, h, S, d), turned by its positions.
        key: (B, h', S, d) likewise.
        value: (B, h', S, d').
        mask: as the LLM gives it.
        cache: of keys and values, which gets these; None: there is none.
        options: passed on to the kernel.
    """
    if cache is not None:
        key, value = cache.update(key, value, attention.layer_idx)
    kernel = ALL_ATTENTION_FUNCTIONS.get_interface(attention.config._attn_implementation, eager_attention_forward)
    dropout = attention.attention_dropout if attention.training else 0.0
    window = getattr(attention, "sliding_window", None)
    output, _ = kernel(
        attention, query, key, value, mask, dropout=dropout, scaling=attention.scaling, sliding_window=window, **options
    )
    return output.flatten(2)
