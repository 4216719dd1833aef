"""EVA-CLIP's ViT-g/14 (arXiv:2303.15389) as BLIP-2 uses it (code salesforce/LAVIS): its first 39 blocks.

Parameters have the published names. Shape letters: B videos, T frames, F = B*T, H W pixels, h w patches, N = 1 + h*w
tokens of a frame, C channels.

| parameter | initialization |
|---|---|
| cls_token, pos_embed, Linear weights | truncated normal, std 0.02; biases 0 |
| attn.proj, mlp.fc2 of block i = 1, 2, … | as above, divided by sqrt(2 i) |
| patch_embed.proj | torch's default |
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlmkit.api import Encoder
from vlmkit.api.weights import STANDARD
from vlmkit_encoders._blocks import later_blocks, outputs_of
from vlmkit_encoders.released import ReleasedWeights, load_weights

if TYPE_CHECKING:
    from vlmkit_encoders.eva_umt import EvaClipSpec
    from vlmkit_encoders.spec import VitSpec

__all__ = ["EvaBlock", "EvaClip"]

_FILES = ("eva_vit_g.pth", *STANDARD)
"""The file that LAVIS publishes, and the names of transformers."""
_DROP = ("norm.", "fc_norm.", "head.")
"""Beginnings of the names of what comes after the blocks, which no user of BLIP-2's tower builds."""
_EPS = 1e-6


class EvaAttention(nn.Module):
    """Queries and values have a bias, keys have none."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_bias = nn.Parameter(torch.zeros(width))
        self.v_bias = nn.Parameter(torch.zeros(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C)."""
        bias = torch.cat([self.q_bias, torch.zeros_like(self.v_bias), self.v_bias])
        q, k, v = F.linear(x, self.qkv.weight, bias).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class EvaBlock(nn.Module):
    """A pre-norm block: attention, then an MLP with the exact GELU."""

    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(spec.width, _EPS)
        self.attn = EvaAttention(spec.width, spec.heads)
        self.norm2 = nn.LayerNorm(spec.width, _EPS)
        fc1, fc2 = nn.Linear(spec.width, spec.mlp), nn.Linear(spec.mlp, spec.width)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=nn.GELU(), fc2=fc2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class EvaPatchEmbed(nn.Module):
    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, spec.width, spec.patch, stride=spec.patch)

    def forward(self, pixels: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, h*w, C)."""
        return self.proj(pixels).flatten(2).transpose(1, 2)


class EvaClip(Encoder):
    """The tokens of each frame after the last block, CLS first, without a final norm."""

    def __init__(self, spec: EvaClipSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = EvaPatchEmbed(spec)
        self.cls_token = nn.Parameter(torch.empty(1, 1, spec.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + spec.grid**2, spec.width))
        self.blocks = nn.ModuleList(EvaBlock(spec) for _ in range(spec.layers))
        self._initialize()

    def _initialize(self) -> None:
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        for index, block in enumerate(self.blocks, 1):
            for name, module in block.named_modules():
                if isinstance(module, nn.Linear):
                    nn.init.trunc_normal_(module.weight, std=0.02)
                    if name in ("attn.proj", "mlp.fc2"):
                        module.weight.data.div_((2 * index) ** 0.5)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalized -> (B, T, 1 + h*w, C). Raise a ValueError for frames of another size."""
        return self.block_outputs(pixels, [len(self.blocks) - 1])[0]

    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """(B, T, 3, H, W) normalized -> for each block (B, T, 1 + h*w, C)."""
        self.spec.check_pixels(*pixels.shape[3:])
        patches = self.patch_embed(pixels.flatten(0, 1))
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.pos_embed
        return [output.unflatten(0, pixels.shape[:2]) for output in outputs_of(self.blocks, x, indices)]

    def load_pretrained(self) -> None:
        """Take the weights at `path`; a position table of another size is interpolated. Raise a CheckpointError where
        names or shapes do not fit."""
        path = self.spec.path
        if path is None:
            return
        state = ReleasedWeights(path).state(_FILES)
        table = state.get("pos_embed")
        if table is not None and table.ndim == 3:
            state["pos_embed"] = torch.cat([table[:, :1], _resized(table[:, 1:], self.spec.grid)], 1)
        load_weights(self, state, path, (), (*_DROP, *later_blocks(state, self.spec.layers)))


def _resized(table: Tensor, side: int) -> Tensor:
    """(1, s*s, C) positions of a square -> (1, side*side, C), bicubic, without antialiasing; others stay."""
    old = round(table.shape[1] ** 0.5)
    if old == side or old**2 != table.shape[1]:
        return table
    squares = table.float().unflatten(1, (old, old)).permute(0, 3, 1, 2)
    return F.interpolate(squares, size=(side, side), mode="bicubic").flatten(2).transpose(1, 2).to(table.dtype)
