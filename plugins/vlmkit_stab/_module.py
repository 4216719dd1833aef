"""The modules of the aligner `stab` and of the downsampler `lsd`.

Shape letters: B videos, T frames, H W patches, C channels; N chunks, t frames of a chunk, P = T*H*W patches of a video,
S = t*H*W patches of a chunk; in `Stab` F frames of a group, S tokens of a frame.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.activations import ACT2FN

from vlmkit.api import Aligner, Downsampler, VideoBatch, VisualTokens
from vlmkit.nn import (
    FrameGroup,
    PatchEmbedding,
    QueryPool,
    WindowPool,
    add_space_time,
    attend,
    build_projector,
    convolve_time,
    crop_frames,
    fold_norm,
    initialize_linears,
    lay_out_frames,
)

if TYPE_CHECKING:
    from vlmkit_stab.spec import LsdSpec, StabSpec

__all__ = ["Lsd", "Stab"]


class Lsd(WindowPool, Downsampler):
    """Local spatial downsampling: the mean of each 2x2 window reads its four patches."""

    def __init__(self, spec: LsdSpec, width: int) -> None:
        spec.check_width(width)
        super().__init__(width, spec.heads)
        initialize_linears(self)

    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) -> (F, H/2, W/2, C)."""
        return super().forward(x)


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
        offset = self.bias - mean * factor
        return factor.to(self.weight.dtype), offset.to(self.weight.dtype)  # statistics are float32 beside any weights

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
        self.attention = nn.MultiheadAttention(width, heads)  # its parameters; `attend` computes it with them
        self.norm_mlp = nn.LayerNorm(width)
        expand, contract = nn.Linear(width, mlp_ratio * width), nn.Linear(mlp_ratio * width, width)
        self.mlp = nn.Sequential(
            OrderedDict(expand=expand, act=ACT2FN["quick_gelu"], dropout=nn.Dropout(dropout), contract=contract)
        )

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


def build_head(width: int, dropout: float) -> nn.Module:
    """Build the head of the CLS tokens, (F, C) -> (F, C)."""
    norm, linear = nn.LayerNorm(width), nn.Linear(width, width)
    return nn.Sequential(OrderedDict(norm=norm, dropout=nn.Dropout(dropout), linear=linear))


class Stab(Aligner):
    """Spatio-Temporal Alignment Block.

    Initialization, as the official training gets it:

    | parameters | initialization |
    |---|---|
    | every linear layer (the attentions' and the MLP's, the head, the projector) | N(0, 0.02), bias 0 |
    | GSTRA's `in_proj_weight` | Xavier uniform, bias 0 |
    | convolutions | torch's default; the last one of LMHRA 0, the bias of DPE 0 |
    | FSRA's query, the row token | N(0, 1) |
    | GSTRA's query, `balance` | 0 |
    """

    def __init__(self, spec: StabSpec, llm_width: int) -> None:
        super().__init__()
        width = spec.width
        self.spec = spec
        self.patch_embedding = PatchEmbedding(width, spec.patch, spec.downsampler.pixel_stride)
        self.lste = Lste(width, lmhra=spec.lmhra, dpe=spec.dpe) if spec.lste else None
        self.gstra = Gstra(width, spec.query_heads, spec.mlp_ratio, spec.dropout) if spec.gstra else None
        self.downsampler = spec.downsampler.build(width)
        self.fsra = QueryPool(width, spec.heads) if spec.fsra else None
        self.balance = nn.Parameter(torch.zeros(width)) if spec.fsra and spec.gstra else None
        self.head = build_head(width, spec.dropout) if spec.cls_head else None
        self.row_token = nn.Parameter(torch.randn(width)) if spec.blocks(spec.input.frames).rows else None
        self.projector = build_projector(spec.projector, width, llm_width)
        for part in (self.gstra, self.fsra, self.head, self.projector):
            if part is not None:
                initialize_linears(part)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `StabSpec.layout` says."""
        shapes = video.shapes()
        blocks = self.spec.blocks(shapes[0].frames)
        groups = blocks.groups(shapes)
        before = self.spec.downsampler_position == "before-lste"
        x = self.patch_embedding(video.pixels)
        if before:
            x = self.downsampler(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        x, chunks = self._across_time(x)
        parts = [crop_frames(x, group) for group in groups]
        tokens = [(part if before else self.downsampler(part)).flatten(1, 2) for part in parts]
        cls = self._cls(tokens, chunks, groups) if blocks.cls else None
        if cls is not None and self.head is not None and x.shape[1] > 1:
            cls = self.head(cls)
        return lay_out_frames(tokens, cls, self.row_token, self.projector, blocks, shapes)

    def _across_time(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, H, W, C) -> the features that frames are made of, and GSTRA's token of each frame's chunk (B*T, C).

        A single frame is an image: LSTE and GSTRA do not see it.
        """
        time = x.shape[1]
        if time == 1:
            return x, None
        chunk = self.spec.frames_per_chunk(time)
        encoded = x if self.lste is None else self.lste(x, chunk)
        chunks = None
        if self.gstra is not None:
            chunks = self.gstra(encoded.view(-1, chunk * x.shape[2] * x.shape[3], x.shape[-1]))
            chunks = chunks.repeat_interleave(chunk, 0)
        return (encoded + x if self.spec.dense else encoded), chunks

    def _cls(self, tokens: list[Tensor], chunks: Tensor | None, groups: list[FrameGroup]) -> Tensor:
        """(B*T, C), in the order of the groups, out of the frames' tokens (F, S, C) and GSTRA's (B*T, C)."""
        if chunks is not None and len(groups) > 1:
            order = torch.from_numpy(np.concatenate([group.frames for group in groups]))
            chunks = chunks[order.to(chunks.device)]
        if self.fsra is None:
            assert chunks is not None
            return chunks
        frames = torch.cat([self.fsra(part) for part in tokens])
        if chunks is None or self.balance is None:
            return frames
        return chunks + torch.sigmoid(self.balance) * (frames - chunks)
