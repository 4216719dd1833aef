"""Attention with a single query per context, without projecting the context to keys and values, and pooling by it.

Shape letters: N contexts, S tokens of a context, C channels, H heads, d channels of a head; in pooling F frames, R K
patches down and across, r k windows.

With x normalized but not yet scaled by LayerNorm's weight g and bias b, the score of token s for a head is

    q . W_k (g*x_s + b) = (g * W_k' q) . x_s + (q . W_k b)

The last term is the same for all tokens and drops out of the softmax (as does a bias of the keys), and since the
weights a_s sum to one, sum_s a_s (W_v (g*x_s + b) + b_v) = (W_v*g) sum_s a_s x_s + W_v b + b_v. So the query is folded
into the key weights, and values are made of the H aggregates alone: 2*C*C multiply-accumulates per context instead of
2*S*C*C.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["KeyValue", "QueryPool", "SingleQueryAttention", "WindowPool", "attend", "fold_norm"]


class KeyValue(NamedTuple):
    """Projections of a context whose tokens are normalized to mean 0 and variance 1."""

    key: Tensor
    """(C, C)"""
    value: Tensor
    """(C, C)"""
    value_bias: Tensor
    """(C,)"""


def fold_norm(norm: nn.LayerNorm, key: Tensor, value: Tensor, value_bias: Tensor | None = None) -> KeyValue:
    """Fold the weight and the bias of the context's LayerNorm into its projections."""
    return KeyValue(key * norm.weight, value * norm.weight, F.linear(norm.bias, value, value_bias))


def attend(
    query: Tensor, context: Tensor, weights: KeyValue, heads: int, scale: float, mask: Tensor | None = None
) -> Tensor:
    """Attend from each query to its context.

    Args:
        query: (N, C), projected; (C,) where all contexts share it.
        context: (N, S, C), normalized.
        weights: projections of the context.
        heads: number of heads, contiguous blocks of channels.
        scale: factor on the scores.
        mask: (N, S), False where a context is padding; None: nowhere.

    Returns:
        (N, C), before the output projection.
    """
    width = context.shape[-1]
    queries = (query * scale).view(-1, heads, width // heads).transpose(0, 1)  # H N d
    folded = torch.bmm(queries, weights.key.view(heads, -1, width)).transpose(0, 1)  # N H C
    if query.ndim == 1:
        scores = F.linear(context, folded[0]).transpose(1, 2)  # N H S
    else:
        scores = torch.bmm(folded, context.transpose(1, 2))
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    read = torch.bmm(scores.softmax(2), context)  # N H C
    values = torch.bmm(read.transpose(0, 1), weights.value.view(heads, -1, width).transpose(1, 2))  # H N d
    values = values.transpose(0, 1).clone(memory_format=torch.contiguous_format)  # N H d
    return values.view(-1, width) + weights.value_bias


class SingleQueryAttention(nn.Module):
    """Pre-norm cross attention of one query per context, as in EVE's layers: q + W_o attention(LN(q), LN(context)).

    Queries, keys and values have no bias, the output has one. The scores are scaled by C^-0.5, whatever the number of
    heads, as EVE and Video-Panda have it.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, width**-0.5
        self.norm_query = nn.LayerNorm(width)
        self.to_query = nn.Linear(width, width, bias=False)
        self.norm_context = nn.LayerNorm(width)
        self.to_key_value = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width)

    def read(self, query: Tensor, context: Tensor) -> Tensor:
        """(N, C) queries or a shared one (C,), (N, S, C) context -> (N, C)."""
        weights = fold_norm(self.norm_context, *self.to_key_value.weight.chunk(2))
        normalized = F.layer_norm(context, context.shape[-1:], eps=self.norm_context.eps)
        read = attend(self.to_query(self.norm_query(query)), normalized, weights, self.heads, self.scale)
        return query + self.to_out(read)


class QueryPool(SingleQueryAttention):
    """One learned query reads each frame (EVE's global attention, Video-Panda's frame-wise spatial relationship)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.query = nn.Parameter(torch.randn(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """(F, S, C) -> (F, C)."""
        return self.read(self.query, tokens)


class WindowPool(SingleQueryAttention):
    """The mean of each window of patches reads the window (EVE's and Video-Panda's local attention)."""

    def __init__(self, width: int, heads: int, window: int = 2) -> None:
        super().__init__(width, heads)
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        """(F, R, K, C) -> (F, r, k, C)."""
        size = self.window
        windows = x.unflatten(2, (-1, size)).unflatten(1, (-1, size)).transpose(2, 3)  # F r k size size C
        context = windows.flatten(3, 4).flatten(0, 2)
        return self.read(context.sum(1) / size**2, context).view(*windows.shape[:3], -1)
