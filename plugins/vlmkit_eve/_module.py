"""The module of the aligner `eve`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from vlmkit.api import Aligner, VideoBatch, VisualTokens
from vlmkit.nn import PatchEmbedding, QueryPool, build_projector, crop_frames, initialize_linears, lay_out_frames

if TYPE_CHECKING:
    from vlmkit_eve.spec import EveSpec

__all__ = ["Eve"]


class Eve(Aligner):
    """Patch embedding, downsampler, one token per frame by attention, row tokens, projector.

    Initialized as Video-Panda's block is: linear layers N(0, 0.02) with bias 0, the query and the row token N(0, 1),
    the patch embedding torch's default.
    """

    def __init__(self, spec: EveSpec, llm_width: int) -> None:
        super().__init__()
        width = spec.width
        self.blocks = spec.blocks()
        self.patch_embedding = PatchEmbedding(width, spec.patch, spec.downsampler.pixel_stride)
        self.downsampler = spec.downsampler.build(width)
        self.fsra = QueryPool(width, spec.heads)
        self.row_token = nn.Parameter(torch.randn(width)) if self.blocks.rows else None
        self.projector = build_projector(spec.projector, width, llm_width)
        initialize_linears(self.fsra)
        initialize_linears(self.projector)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `EveSpec.layout` says. Frames (F, H, W, C) of one box become (F, S, C) tokens together."""
        shapes = video.shapes()
        x = self.patch_embedding(video.pixels)
        groups = self.blocks.groups(shapes)
        tokens = [self.downsampler(crop_frames(x, group)).flatten(1, 2) for group in groups]
        cls = torch.cat([self.fsra(part) for part in tokens])
        return lay_out_frames(tokens, cls, self.row_token, self.projector, self.blocks, shapes)
