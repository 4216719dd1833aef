"""The module of the layers `eve-v2`.

Shape letters: B sequences, S positions, n text tokens, m visual tokens (n + m = B * S), D LLM width.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vlmkit.api import Layers, TokenContext
from vlmkit.nn import cached_attention, decoder_layers, extend_class, rotate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit_eve.visual_set import EveV2LayersSpec

__all__ = ["EveV2Layers"]


class EveV2Layers(Layers):
    """The second set of weights; names below `visual.INDEX` are those of the LLM's own layer."""

    def __init__(self, spec: EveV2LayersSpec, backbone: PreTrainedModel) -> None:
        super().__init__()
        self._families = spec.families
        self.visual = nn.ModuleList(_copy(layer, backbone) for layer in decoder_layers(backbone, self._families))

    def install(self, backbone: PreTrainedModel) -> None:
        """Let every decoder layer choose the set of each token."""
        for layer, visual in zip(decoder_layers(backbone, self._families), self.visual, strict=True):
            extend_class(layer, _TwoSets, _visual_set=(visual,))


def _copy(layer: nn.Module, backbone: PreTrainedModel) -> nn.Module:
    """Return the submodules of a decoder layer with weights of their own. They follow the LLM's configuration."""
    visual = nn.Module()
    for name, module in layer.named_children():
        visual.add_module(name, deepcopy(module, {id(backbone.config): backbone.config}))
    return visual


class _TwoSets:
    """A decoder layer in which visual tokens meet weights of their own. Those of the families differ in the biases and
    norms of their projections alone."""

    _visual_set: tuple[Any]

    def forward(self: Any, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(B, S, D) -> (B, S, D). Without visual tokens in this pass it is the LLM's own layer."""
        context: TokenContext | None = kwargs.get("token_context")
        if context is None or context.visual is None:
            output: Tensor = super().forward(hidden_states, *args, **kwargs)  # type: ignore[misc]
            return output
        sets, tokens = (self, *self._visual_set), _Split(context, hidden_states)
        x = tokens.split(hidden_states)
        normed = [own.input_layernorm(part) for own, part in zip(sets, x, strict=True)]
        attended = tokens.split(_attend(self.self_attn, self._visual_set[0].self_attn, normed, tokens, **kwargs))
        x = [part + own.self_attn.o_proj(new) for own, part, new in zip(sets, x, attended, strict=True)]
        x = [part + own.mlp(own.post_attention_layernorm(part)) for own, part in zip(sets, x, strict=True)]
        return tokens.join(x)


class _Split:
    """Tokens of one pass apart, (n, …) of text and (m, …) visual ones, and together again."""

    def __init__(self, context: TokenContext, like: Tensor) -> None:
        self._text, self._visual, self._places = (index.to(like.device) for index in context.order)
        self._shape = like.shape[:2]

    def split(self, x: Tensor) -> list[Tensor]:
        """(B, S, C) -> (n, C), (m, C)."""
        flat = x.flatten(0, 1)
        return [flat[self._text], flat[self._visual]]

    def join(self, parts: list[Tensor]) -> Tensor:
        """(n, C), (m, C) -> (B, S, C)."""
        return torch.cat(parts)[self._places].unflatten(0, self._shape)


def _attend(
    text: Any,
    visual: Any,
    x: list[Tensor],
    tokens: _Split,
    position_embeddings: tuple[Tensor, Tensor],
    attention_mask: Tensor | None = None,
    past_key_values: Any = None,
    position_ids: Tensor | None = None,
    use_cache: bool | None = None,
    **options: Any,
) -> Tensor:
    """Return (B, S, heads * d): one attention over all tokens, whose queries, keys and values are of both sets."""

    def projected(name: str) -> Tensor:
        parts = [getattr(own, f"{name}_proj")(part) for own, part in zip((text, visual), x, strict=True)]
        parts = [part.unflatten(-1, (-1, text.head_dim)) for part in parts]
        if hasattr(text, f"{name}_norm"):
            parts = [getattr(own, f"{name}_norm")(part) for own, part in zip((text, visual), parts, strict=True)]
        return tokens.join(parts).transpose(1, 2)

    query, key = (rotate(projected(name), *position_embeddings) for name in ("q", "k"))
    return cached_attention(text, query, key, projected("v"), attention_mask, past_key_values, **options)
