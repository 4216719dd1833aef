"""The module of the layers `neo`.

Shape letters: B sequences, S positions of this pass, P cached positions, h query heads, g key heads, d channels of a
head, D LLM width.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.cache_utils import DynamicLayer

from vlmkit.api import Layers, TokenContext, UserError
from vlmkit.nn import cached_attention, decoder_layers, extend_class, rotate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit_neo.native_layers import NeoLayersSpec

__all__ = ["NeoLayers"]

_STD = 0.02
"""Standard deviation of the matrices of the layers before the LLM's."""


class NeoLayers(Layers):
    """Layers before the LLM's own (`before`), and for these and the LLM's, in the order of computation, the projections
    for rows and columns (`spatial`).

    Initialized as the released conversion of Qwen3 does: matrices of `before` N(0, 0.02), norms 1; in the LLM's layers
    the queries for rows and columns are rows of its own query projection, the keys 0.
    """

    own_positions = True

    def __init__(self, spec: NeoLayersSpec, backbone: PreTrainedModel) -> None:
        super().__init__()
        self._spec = spec
        own = decoder_layers(backbone, spec.families)
        first: Any = own[0]
        if first.self_attn.head_dim % 4:
            raise ValueError(f"heads of {first.self_attn.head_dim} channels cannot be cut into quarters; give others")
        self.before = nn.ModuleList(_drawn_copy(first, backbone, len(own) + i) for i in range(spec.before))
        spatial = [_Spatial(layer.self_attn) for layer in (*self.before, *own)]
        for axes in spatial[: spec.before]:
            for projection in (axes.q_proj_hw, axes.k_proj_hw):
                nn.init.normal_(projection.weight, std=_STD)
        self.spatial = nn.ModuleList(spatial)

    def install(self, backbone: PreTrainedModel) -> None:
        """Let every attention turn by rows and columns too, and the first layer run those that come before it."""
        own = decoder_layers(backbone, self._spec.families)
        for layer, axes in zip((*self.before, *own), self.spatial, strict=True):
            extend_class(layer.self_attn, _SpatialAttention, _spatial=(axes,), _theta=self._spec.theta)
        extend_class(own[0], _AfterOthers, _before=tuple(self.before))

    def attention(self, context: TokenContext) -> tuple[Tensor | None, Tensor | None]:
        """Return positions of which a frame takes one, and a mask by which its tokens see each other."""
        frames, positions = context.frames, context.position_ids
        if frames is None:
            return context.attention_mask, positions
        batch, length = frames.shape
        shown = context.attention_mask
        if shown is None:
            shown = frames.new_ones((batch, context.past + length))
        shown = shown.bool()
        previous = torch.cat([frames.new_full((batch, 1), -1), frames[:, :-1]], 1)
        steps = shown[:, context.past :] & ~((frames >= 0) & (frames == previous))
        start = positions[:, :1] if context.past and positions is not None else 0
        counted = (steps.long().cumsum(1) - 1).clamp(min=0) + start
        same = (frames[:, :, None] == frames[:, None]) & (frames >= 0)[:, :, None]
        seen = same | torch.ones(length, length, dtype=torch.bool, device=frames.device).tril()
        seen = torch.cat([seen.new_ones((batch, length, context.past)), seen], 2) & shown[:, None]
        return seen[:, None], counted


def _drawn_copy(layer: nn.Module, backbone: PreTrainedModel, index: int) -> nn.Module:
    """Return a layer like this one with fresh weights, which has the place `index` in the cache."""
    drawn: Any = deepcopy(layer, {id(backbone.config): backbone.config})
    for parameter in drawn.parameters():
        nn.init.normal_(parameter, std=_STD) if parameter.ndim > 1 else nn.init.ones_(parameter)
    drawn.self_attn.layer_idx = index
    return drawn


class _Spatial(nn.Module):
    """The projections and norms of one attention for rows (h) and columns (w): half of the channels of a head each."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.q_proj_hw, self.k_proj_hw = deepcopy(attention.q_proj), deepcopy(attention.k_proj)
        self.q_norm_h, self.q_norm_w, self.k_norm_h, self.k_norm_w = (_half(attention.q_norm) for _ in range(4))
        with torch.no_grad():
            heads = attention.q_proj.weight.unflatten(0, (-1, attention.head_dim))
            quarters = heads.chunk(4, 1)
            self.q_proj_hw.weight.copy_(torch.cat([quarters[0], quarters[2]] * 2, 1).flatten(0, 1))
            self.k_proj_hw.weight.zero_()

    def forward(self, x: Tensor, cells: Tensor | None, theta: float) -> tuple[Tensor, Tensor]:
        """(B, S, D), (B, S, 2) rows and columns -> queries (B, h, S, d) and keys (B, g, S, d), rows before columns.
        Without cells all of them are 0."""
        found = []
        for projection, norms in (
            (self.q_proj_hw, (self.q_norm_h, self.q_norm_w)),
            (self.k_proj_hw, (self.k_norm_h, self.k_norm_w)),
        ):
            width = 2 * norms[0].weight.shape[0]
            halves = projection(x).unflatten(-1, (-1, width)).transpose(1, 2).chunk(2, -1)
            halves = [norm(half) for norm, half in zip(norms, halves, strict=True)]
            if cells is not None:
                halves = [rotate(half, *_angles(cells[..., i], half, theta)) for i, half in enumerate(halves)]
            found.append(torch.cat(halves, -1))
        return found[0], found[1]


def _half(norm: nn.Module) -> Any:
    half: Any = deepcopy(norm)
    half.weight = nn.Parameter(torch.ones_like(half.weight[: len(half.weight) // 2]))
    return half


def _angles(places: Tensor, like: Tensor, theta: float) -> tuple[Tensor, Tensor]:
    """Return cosines and sines (B, S, d/2) of the angles by which a place (B, S) turns d/2 channels."""
    width = like.shape[-1]
    frequencies = theta ** (-torch.arange(0, width, 2, device=like.device).float() / width)
    angles = (places.to(like.device)[..., None] * frequencies).repeat(1, 1, 2)
    return angles.cos().to(like.dtype), angles.sin().to(like.dtype)


class _SpatialAttention:
    """Qwen3's attention with the channels for rows and columns behind its own. The scale of the scores is that of its
    own channels alone."""

    _spatial: tuple[_Spatial]
    _theta: float

    def forward(
        self: Any,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None,
        past_key_values: Any = None,
        token_context: TokenContext | None = None,
        **options: Any,
    ) -> tuple[Tensor, None]:
        """(B, S, D) -> (B, S, D)."""
        query, key, value = (
            projection(hidden_states).unflatten(-1, (-1, self.head_dim))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query = rotate(self.q_norm(query).transpose(1, 2), *position_embeddings)
        key = rotate(self.k_norm(key).transpose(1, 2), *position_embeddings)
        cells = token_context.cells if token_context is not None else None
        spatial_query, spatial_key = self._spatial[0](hidden_states, cells, self._theta)
        query, key = torch.cat([query, spatial_query], -1), torch.cat([key, spatial_key], -1)
        if past_key_values is not None:
            _make_room(past_key_values, self.layer_idx)
        attended = cached_attention(
            self,
            query,
            key,
            value.transpose(1, 2),
            attention_mask,
            past_key_values,
            token_context=token_context,
            **options,
        )
        return self.o_proj(attended), None


def _make_room(cache: Any, index: int) -> None:
    """Give a cache that was made for the LLM's layers a place for one behind them."""
    if getattr(cache, "layer_class_to_replicate", None) is not None or index < len(cache.layers):
        return
    if not all(isinstance(layer, DynamicLayer) for layer in cache.layers):
        raise UserError("cache_implementation: layers `neo` need a dynamic cache (the default), found another one")
    cache.layers.extend(DynamicLayer() for _ in range(index + 1 - len(cache.layers)))


class _AfterOthers:
    """The LLM's first layer, which runs the layers that come before it. Each of them recomputes its own activations."""

    _before: tuple[nn.Module, ...]

    def __call__(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Any:
        """(B, S, D) -> (B, S, D)."""
        for layer in self._before:
            hidden_states = layer(hidden_states, *args, **kwargs)
        return super().__call__(hidden_states, *args, **kwargs)  # type: ignore[misc]
