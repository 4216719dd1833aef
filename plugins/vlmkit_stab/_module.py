"""The modules of the aligner `stab` and of the downsampler `lsd`.

Shape letters: B videos, T frames, H W patches, t frames of a chunk, F frames of a group, S tokens of a frame, C
channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from vlmkit.api import Aligner, Downsampler, VideoBatch, VisualTokens
from vlmkit.nn import (
    FrameGroup,
    PatchEmbedding,
    QueryPool,
    WindowPool,
    build_projector,
    crop_frames,
    initialize_linears,
    lay_out_frames,
)
from vlmkit_stab._spatio_temporal import Gstra, Lste

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
        self.head = ClsHead(width, spec.dropout) if spec.cls_head else None
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
