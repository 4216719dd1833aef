"""The module of the aligner `llama-adapter` (arXiv:2304.15010).

Shape letters: B videos, H W pixels, S tokens of CLIP, P queries, C channels of the blocks, D LLM width.

| parameter | initialization |
|---|---|
| visual_query | normal, std 1 |
| projection | normal, std of the encoder's width^-0.5, as CLIP's |
| all others | torch's default |
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlmkit.api import Aligner, VideoBatch, VisualTokens
from vlmkit_encoders.released import ReleasedWeights, load_weights

if TYPE_CHECKING:
    from vlmkit_llama_adapter.spec import LlamaAdapterSpec

__all__ = ["LlamaAdapter"]


class LlamaAdapter(Aligner):
    """CLIP with its projection, a linear layer with norm, queries that read it, and again a linear layer with norm."""

    def __init__(self, spec: LlamaAdapterSpec, llm_width: int) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = spec.encoder.build()
        self.projection = nn.Linear(spec.encoder.width, spec.joint_width, bias=False)
        nn.init.normal_(self.projection.weight, std=spec.encoder.width**-0.5)
        self.clip_proj = nn.Linear(spec.joint_width, spec.width)
        self.clip_proj_norm = nn.LayerNorm(spec.width)
        self.visual_query = nn.Embedding(spec.queries, spec.width)
        self.visual_blocks = nn.Sequential(*(_Block(spec.width, spec.heads) for _ in range(spec.blocks)))
        self.visual_proj = nn.Linear(spec.width, llm_width)
        self.visual_proj_norm = nn.LayerNorm(llm_width)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """No tokens, and (1, B, P, D) prompts."""
        pixels = self._in_order(video.pixels)
        read_BSC = self.clip_proj_norm(self.clip_proj(self.projection(self.encoder(pixels)[:, 0])))
        queries_BPC = self.visual_query.weight.expand(len(read_BSC), -1, -1)
        read_BPC = self.visual_blocks(torch.cat([queries_BPC, read_BSC], 1))[:, : self.spec.queries]
        queries_BPC = read_BPC.clone(memory_format=torch.contiguous_format)
        prompts_BPD = self.visual_proj_norm(self.visual_proj(queries_BPC))
        batch, _, width = prompts_BPD.shape
        patches = torch.from_numpy(np.stack([self.spec.layout(shape).patches for shape in video.shapes()]))
        nothing = prompts_BPD.new_zeros(batch, 0, width)
        mask = torch.zeros(batch, 0, dtype=torch.bool, device=nothing.device)
        return VisualTokens(nothing, mask, patches.to(nothing.device), prompts_BPD[None])

    def _in_order(self, pixels: Tensor) -> Tensor:
        """(B, 1, 3, H, W) normalized RGB -> the same, or BGR normalized as if it were RGB."""
        if not self.spec.bgr:
            return pixels
        mean, std = (pixels.new_tensor(value)[:, None, None] for value in (self.spec.input.mean, self.spec.input.std))
        return ((pixels * std + mean).flip(2) - mean) / std

    def load_pretrained(self) -> None:
        """Load CLIP's weights: of the encoder and, from the same place, of the projection."""
        self.encoder.load_pretrained()
        if (path := self.spec.encoder.path) is not None:
            load_weights(self.projection, ReleasedWeights(path).state(), path, ("visual_projection.",), ())


class _Block(nn.Module):
    """A pre-norm transformer block with an exact GELU, under the names of the timm library."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = _JointAttention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        fc1, fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=nn.GELU(), fc2=fc2))

    def forward(self, x: Tensor) -> Tensor:
        """(B, P + S, C) -> (B, P + S, C)."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class _JointAttention(nn.Module):
    """Queries and tokens of CLIP attend to each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, P + S, C) -> (B, P + S, C)."""
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
