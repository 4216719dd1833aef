"""GSTRA: global spatio-temporal relationship aggregation, and its fusion with the frames' own tokens.

Shape letters: N chunks of frames, S patches of a chunk, F frames, C channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.nn import attend
from vlmkit.nn.attention import fold_norm

__all__ = ["ClsHead", "Gstra"]


class MultiheadAttention(nn.Module):
    """The parameters of `nn.MultiheadAttention`, and its initialisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)


class Mlp(nn.Module):
    """Linear, QuickGELU, dropout, linear."""

    def __init__(self, width: int, ratio: int, dropout: float) -> None:
        super().__init__()
        self.expand = nn.Linear(width, ratio * width)
        self.dropout = nn.Dropout(dropout)
        self.contract = nn.Linear(ratio * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C) -> (N, C)."""
        x = self.expand(x)
        return self.contract(self.dropout(x * torch.sigmoid(1.702 * x)))


class Gstra(nn.Module):
    """A learned query reads all patches of a chunk: pre-norm cross attention and MLP (UniFormerV2's Extractor).

    The keys' bias moves all scores of a head alike, so it has no influence and its gradient is zero.
    """

    def __init__(self, width: int, heads: int, mlp_ratio: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.query = nn.Parameter(torch.zeros(1, 1, width))
        self.norm_query = nn.LayerNorm(width)
        self.norm_context = nn.LayerNorm(width)
        self.attention = MultiheadAttention(width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = Mlp(width, mlp_ratio, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, S, C) -> (N, C)."""
        query_weight, key_weight, value_weight = self.attention.in_proj_weight.chunk(3)
        query_bias, _, value_bias = self.attention.in_proj_bias.chunk(3)
        query = F.linear(self.norm_query(self.query), query_weight, query_bias).flatten()
        normalised = F.layer_norm(x, x.shape[-1:], eps=self.norm_context.eps)
        weights = fold_norm(self.norm_context, key_weight, value_weight, value_bias)
        read = attend(query, normalised, weights, self.heads, self.scale)
        token = self.query[0] + self.attention.out_proj(read)
        return token + self.mlp(self.norm_mlp(token))


class ClsHead(nn.Module):
    """LayerNorm, dropout and a linear layer on the CLS tokens of a video."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(F, C) -> (F, C)."""
        return self.linear(self.dropout(self.norm(x)))
