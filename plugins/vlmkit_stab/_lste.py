"""LSTE: local spatio-temporal encoding.

Shape letters: B videos, T frames, H W patches, C channels, R channels of the bottleneck, N chunks, t frames of a chunk.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.nn import add_space_time, convolve_time

__all__ = ["Lste", "VideoNorm"]


class VideoNorm(nn.Module):
    """BatchNorm whose batch is one video: in training each video of a batch is normalised by its own statistics.

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
        """(B, P, C) -> what normalises it: factors and offsets, each (B, C), or (1, C) where all videos share them."""
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
