"""The module of the layers `llama-adapter`.

Shape letters: B sequences, S positions, h query heads, g key heads, d channels of a head, P prompts of a video, M
prompts of a sequence (of all its videos), K layers that read prompts, D LLM width, r LoRA rank.

| parameter | initialization |
|---|---|
| adapter_query | normal, std 1 |
| gates, biases, lora.*.*.second | 0 |
| new_gates | 1 |
| lora.*.*.first | as torch's linear layers |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api import Layers, TokenContext
from vlmkit.nn import cached_attention, decoder_layers, extend_class, rotate

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from vlmkit_llama_adapter.prompt_layers import LlamaAdapterLayersSpec

__all__ = ["LlamaAdapterLayers"]

_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_MLP = ("gate_proj", "up_proj", "down_proj")
_BIASED = ("q_proj", "o_proj", *_MLP)


class LlamaAdapterLayers(Layers):
    """Prompts and gates, biases and LoRA of all layers. The gates of layers without prompts, which the released
    weights have, are held and do not train."""

    def __init__(self, spec: LlamaAdapterLayersSpec, backbone: PreTrainedModel) -> None:
        super().__init__()
        self._spec, config = spec, backbone.config
        own = decoder_layers(backbone, spec.families)
        if spec.layers > len(own):
            raise ValueError(f"layers is {spec.layers}, but the language model has {len(own)}; lower it")
        self.adapter_query = nn.Embedding(spec.layers * spec.prompts, config.hidden_size)
        self.gates = nn.ParameterList(torch.zeros(1, config.num_attention_heads, 1, 1) for _ in own)
        if spec.biases:
            self.biases = nn.ModuleList(
                nn.ParameterDict({name: torch.zeros(_projection(layer, name).out_features) for name in _BIASED})
                for layer in own
            )
        if spec.lora_rank:
            self.new_gates = nn.ParameterList(torch.ones(1, 1, 1, 1) for _ in own)
            self.lora = nn.ModuleList(
                nn.ModuleDict({name: _Lora(_projection(layer, name), spec.lora_rank) for name in (*_ATTENTION, *_MLP)})
                for layer in own
            )
        for gates in (self.gates, *([self.new_gates] if spec.lora_rank else [])):
            for gate in list(gates)[: len(own) - spec.layers]:
                gate.requires_grad_(False)

    def install(self, backbone: PreTrainedModel) -> None:
        """Let projections add what is theirs here, and the last layers read prompts."""
        own = decoder_layers(backbone, self._spec.families)
        for index in range(len(own)):
            layer: Any = own[index]
            if self._spec.biases or self._spec.lora_rank:
                for name in (*_ATTENTION, *_MLP):
                    extend_class(_projection(layer, name), _AddsToLinear, _adapter=(self,), _place=(index, name))
            if (reads := index - len(own) + self._spec.layers) >= 0:
                extend_class(layer.self_attn, _ReadsPrompts, _adapter=(self,), _place=(index, reads))

    def added(self, index: int, name: str, x: Tensor, y: Tensor) -> Tensor:
        """Return what the projection `name` of a layer gives of x, (…, out), which is y without what is added here."""
        if self._spec.lora_rank:
            y = y + self.lora[index][name](x)  # type: ignore[index]
        if self._spec.biases and name in _BIASED:
            y = y + self.biases[index][name].to(y.dtype)  # type: ignore[index]
        return y

    def prompts(self, reads: int, context: TokenContext) -> Tensor:
        """Return (B, M, D) prompts of the layer that is the one of this number, from 0, among those that read any."""
        given = context.prompts
        assert given is not None
        if len(given) not in (1, self._spec.layers):
            raise ValueError(f"expected prompts of 1 or {self._spec.layers} layers, found those of {len(given)}")
        number = self._spec.prompts
        own = self.adapter_query.weight[reads * number : (reads + 1) * number]
        shown = given[reads if len(given) > 1 else 0]
        return shown + own.to(shown.dtype).repeat(shown.shape[1] // number, 1)

    def gate(self, index: int) -> Tensor:
        """Return (1, h, 1, 1) how much a layer's heads take of its prompts."""
        gate = self.gates[index].tanh()
        return gate * self.new_gates[index] if self._spec.lora_rank else gate


def _projection(layer: Any, name: str) -> Any:
    return getattr(layer.self_attn if name in _ATTENTION else layer.mlp, name)


class _Lora(nn.Module):
    """A product of two matrices that is added to a linear layer."""

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.first = nn.Linear(linear.in_features, rank, bias=False)
        self.second = nn.Linear(rank, linear.out_features, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        own = self.first.weight.dtype
        added: Tensor = self.second(self.first(x.to(own)))
        return added.to(x.dtype)


class _AddsToLinear:
    """A linear layer to which a bias and a product of small matrices are added."""

    _adapter: tuple[LlamaAdapterLayers]
    _place: tuple[int, str]

    def forward(self: Any, x: Tensor) -> Tensor:
        """(…, in) -> (…, out)."""
        return self._adapter[0].added(*self._place, x, self.alone(x))

    def alone(self, x: Tensor) -> Tensor:
        """The same of the LLM's own weights."""
        y: Tensor = super().forward(x)  # type: ignore[misc]
        return y


class _ReadsPrompts:
    """An attention whose queries read prompts, too, by a softmax of their own."""

    _adapter: tuple[LlamaAdapterLayers]
    _place: tuple[int, int]

    def forward(
        self: Any,
        hidden_states: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        token_context: TokenContext | None = None,
        **options: Any,
    ) -> tuple[Tensor, Any]:
        """(B, S, D) -> (B, S, D). Without prompts it is the LLM's own attention."""
        if token_context is None or token_context.prompts is None:
            found: tuple[Tensor, Any] = super().forward(  # type: ignore[misc]
                hidden_states, position_embeddings, attention_mask, past_key_values, **options
            )
            return found
        query, key, value = (
            projection(hidden_states).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = (rotate(x, *position_embeddings) for x in (query, key))
        attended = cached_attention(self, query, key, value, attention_mask, past_key_values, **options)
        return self.o_proj(attended + self._read(query, token_context)), None

    def _read(self: Any, query: Tensor, context: TokenContext) -> Tensor:
        """(B, h, S, d) queries, turned by their positions -> (B, S, h * d) of the prompts, times the gates."""
        adapter, (index, reads) = self._adapter[0], self._place
        prompts = adapter.prompts(reads, context).to(query.device, query.dtype)
        key, value = (
            getattr(projection, "alone", projection)(prompts).unflatten(-1, (-1, self.head_dim)).transpose(1, 2)
            for projection in (self.k_proj, self.v_proj)
        )
        groups = query.shape[1] // key.shape[1]
        key, value = (x.repeat_interleave(groups, 1).to(query.dtype) for x in (key, value))
        there = context.prompts_mask[:, None, None].to(query.device)  # type: ignore[index]
        scores = (query @ key.transpose(2, 3) * self.scaling).float()
        # A sequence without prompts reads nothing: its weights are 0, whatever the softmax gives.
        weights = F.softmax(scores.masked_fill(~there, torch.finfo(scores.dtype).min), -1) * there
        read = weights.to(query.dtype) @ value * adapter.gate(index).to(query.device, query.dtype)
        return read.transpose(1, 2).flatten(2)
