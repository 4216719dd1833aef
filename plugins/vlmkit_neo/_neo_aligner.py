"""The module of the aligner `neo`. Its parameters have the names of the released checkpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api import Aligner, VideoBatch, VisualTokens
from vlmkit.nn import Ints, cut_cells, gather_tokens

if TYPE_CHECKING:
    from vlmkit_neo.neo_aligner import NeoAlignerSpec

__all__ = ["NeoAligner"]


class NeoAligner(Aligner):
    """Two convolutions, between them an exact GELU and rotary positions. Initialized as torch does."""

    def __init__(self, spec: NeoAlignerSpec, llm_width: int) -> None:
        super().__init__()
        self.blocks, self.theta = spec.blocks(), spec.theta
        self.patch_embedding = nn.Conv2d(3, spec.width, spec.patch, spec.patch)
        self.dense_embedding = nn.Conv2d(spec.width, llm_width, 2, 2)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `NeoAlignerSpec.layout` says. The n cells of all pictures are computed together."""
        shapes = video.shapes()
        cells = self.blocks.cells(shapes)
        pixels = cut_cells(video.pixels, cells, self.blocks.cell).to(self.patch_embedding.weight.dtype)
        patches = F.gelu(self.patch_embedding(pixels))
        by_column, by_row = patches.chunk(2, 1)
        turned = [self._turn(by_column, cells.columns, 3), self._turn(by_row, cells.rows, 2)]
        tokens = self.dense_embedding(torch.cat(turned, 1).to(patches.dtype)).flatten(1)
        layouts = [self.blocks.layout(shape) for shape in shapes]
        return gather_tokens(tokens, self.blocks.sources(shapes), layouts)

    def _turn(self, x: Tensor, cells: Ints, axis: int) -> Tensor:
        """Turn pairs of channels (2j, 2j + 1) of (n, C, 2, 2) by their places along an axis, in float32.

        The place of a patch is twice that of its cell, and one more for the second patch of the axis.
        """
        pairs = x.shape[1] // 2
        place = torch.from_numpy(cells).to(x.device)[:, None] * 2 + torch.arange(2, device=x.device)
        speed = self.theta ** (torch.arange(pairs, device=x.device, dtype=torch.float32) / -pairs)
        angle = (place[:, None] * speed[:, None]).unsqueeze(5 - axis)  # (n, C / 2, 2, 1) or (n, C / 2, 1, 2)
        even, odd = x.float().unflatten(1, (pairs, 2)).unbind(2)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], 2).flatten(1, 2)
