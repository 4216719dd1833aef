"""The module of the aligner `eve-v2`. Its parameters have the names of the released checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from vlmkit.api import Aligner, VideoBatch, VisualTokens
from vlmkit.nn import cut_cells, gather_tokens

if TYPE_CHECKING:
    from vlmkit_eve.eve_v2_aligner import EveV2AlignerSpec

__all__ = ["EveV2Aligner"]


class EveV2Aligner(Aligner):
    """Two convolutions with an exact GELU between, a class and a split vector.

    Initialized as EVEv2's is: the convolutions as torch does, both vectors N(0, 1).
    """

    def __init__(self, spec: EveV2AlignerSpec, llm_width: int) -> None:
        super().__init__()
        self.blocks = spec.blocks()
        self.patch_embedding = nn.Sequential(
            nn.Conv2d(3, spec.width, spec.patch, spec.patch), nn.GELU(), nn.Conv2d(spec.width, llm_width, 2, 2)
        )
        self.class_embedding = nn.Parameter(torch.randn(llm_width))
        self.split_embedding = nn.Parameter(torch.randn(llm_width))

    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `EveV2AlignerSpec.layout` says. The n cells of all pictures are computed together."""
        shapes = video.shapes()
        cells = cut_cells(video.pixels, self.blocks.cells(shapes), self.blocks.cell)
        tokens = self.patch_embedding(cells.to(self.class_embedding.dtype)).flatten(1)
        vectors = torch.stack([self.class_embedding, self.split_embedding]).to(tokens.dtype)  # autocast changes it
        layouts = [self.blocks.layout(shape) for shape in shapes]
        return gather_tokens(torch.cat([tokens, vectors]), self.blocks.sources(shapes), layouts)
