"""The two parts of STAB that look across frames: LSTE, which encodes patches among their neighbors, and GSTRA, which
reads one token out of a chunk of frames.

Shape letters: B videos, T frames, H W patches, C channels, N chunks, t frames of a chunk, P = T*H*W patches of a video,
S = t*H*W patches of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.nn import add_space_time, attend, convolve_time, fold_norm

__all__ = ["Gstra", "Lste", "VideoNorm"]


class VideoNorm(nn.Module):
    """BatchNorm whose batch is one video: in training each video of a batch is normalized by its own statistics.

    The running statistics are those of seeing the videos one after the other, as the reference does.
    """

    num_batches_tracked: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, P, C) -> the factors and offsets that normalize it, each (B, C), or (1, C) if shared by all videos."""
        if self.training:
            var, mean = torch.var_mean(x, 1, correction=0)
            self._track(mean.detach(), var.detach(), x.shape[1])
        else:
            mean, var = self.running_mean[None], self.running_var[None]
        factor = self.weight * torch.rsqrt(var + self.eps)
        return factor, self.bias - mean * factor

    @torch.no_grad()
    def _track(self, mean: Tensor, var: Tensor, count: int) -> None:
        videos, keep = len(mean), 1 - self.momentum
        age = torch.arange(videos - 1, -1, -1, device=mean.device)
        share = (self.momentum * keep**age).to(mean.dtype)
        unbiased = var * (count / max(count - 1, 1))
        self.running_mean.mul_(keep**videos).add_(share @ mean)
        self.running_var.mul_(keep**videos).add_(share @ unbiased)
        self.num_batches_tracked.add_(videos)


class TemporalMixer(nn.Module):
    """x + LMHRA(x) (UniFormerV2): per position to fewer channels, a convolution over 3 frames, and back. All linear."""

    def __init__(self, width: int) -> None:
        super().__init__()
        inner = int(width // 1.5)
        self.norm = VideoNorm(width)
        self.reduce = nn.Conv3d(width, inner, 1)
        self.temporal = nn.Conv3d(inner, inner, (3, 1, 1), padding=(1, 0, 0), groups=inner)
        self.expand = nn.Conv3d(inner, width, 1)
        for parameter in self.expand.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, chunk: int) -> Tensor:
        """(B, T, H, W, C) -> the same shape; chunks of `chunk` frames do not see each other."""
        batch, time, rows, columns, _ = x.shape
        flat = x.flatten(1, 3)
        factor, offset = self.norm(flat)
        weight = self.reduce.weight.flatten(1)
        bias = F.linear(offset, weight, self.reduce.bias)
        if len(factor) == 1:
            inner = F.linear(flat, weight * factor, bias[0])
        else:
            inner = torch.baddbmm(bias[:, None], flat, (weight * factor[:, None]).transpose(1, 2))
        inner = convolve_time(self.temporal, inner.view(batch * time // chunk, chunk, rows, columns, -1))
        out = F.linear(inner.flatten(0, 3), self.expand.weight.flatten(1), self.expand.bias)
        return out.add_(x.flatten(0, 3)).view_as(x)


class Lste(nn.Module):
    """Local spatio-temporal encoding: LMHRA, then a depthwise 3x3x3 convolution (DPE), each added to its input."""

    def __init__(self, width: int, *, lmhra: bool, dpe: bool) -> None:
        super().__init__()
        self.lmhra = TemporalMixer(width) if lmhra else None
        self.dpe = nn.Conv3d(width, width, 3, padding=1, groups=width) if dpe else None
        if self.dpe is not None and self.dpe.bias is not None:
            nn.init.zeros_(self.dpe.bias)

    def forward(self, x: Tensor, chunk: int) -> Tensor:
        """(B, T, H, W, C) -> the same shape; chunks of `chunk` frames do not see each other."""
        if self.lmhra is not None:
            x = self.lmhra(x, chunk)
        if self.dpe is not None:
            chunks = x.view(-1, chunk, *x.shape[2:])
            x = add_space_time(self.dpe, chunks).view_as(x)
        return x


class AttentionWeights(nn.Module):
    """The parameters of `nn.MultiheadAttention`, with its initialization."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)


class QuickGeluMlp(nn.Module):
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
        self.attention = AttentionWeights(width)
        self.norm_mlp = nn.LayerNorm(width)
        self.mlp = QuickGeluMlp(width, mlp_ratio, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, S, C) -> (N, C)."""
        query_weight, key_weight, value_weight = self.attention.in_proj_weight.chunk(3)
        query_bias, _, value_bias = self.attention.in_proj_bias.chunk(3)
        query = F.linear(self.norm_query(self.query), query_weight, query_bias).flatten()
        normalized = F.layer_norm(x, x.shape[-1:], eps=self.norm_context.eps)
        weights = fold_norm(self.norm_context, key_weight, value_weight, value_bias)
        read = attend(query, normalized, weights, self.heads, self.scale)
        token = self.query[0] + self.attention.out_proj(read)
        return token + self.mlp(self.norm_mlp(token))
