"""InternVideo2's video tower (arXiv:2403.15377, github.com/OpenGVLab/InternVideo): joint space-time attention.

Parameters have the published names. Shape letters: B videos, T frames, H W pixels, h w patches, N = 1 + T*h*w tokens, C
channels, K heads.

| parameter | initialization |
|---|---|
| cls_token, position table, Linear weights | normal, std 0.02; biases 0 |
| attn.proj, mlp.fc2 of block i = 1, 2, … | as above, divided by sqrt(2 i) |
| norms | 1 |
| ls1, ls2 (LayerScale) | 1e-5 |
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
from vlmkit_encoders._blocks import outputs_of
from vlmkit_encoders.released import ReleasedWeights, load_weights

if TYPE_CHECKING:
    from vlmkit_encoders.spec import InternVideo2Spec, VitSpec

__all__ = ["InternVideo2", "InternVideo2PatchEmbed"]

_FILES = ("InternVideo2-stage2_1b-224p-f4.pt", *STANDARD)
"""The published file of stage 2, and the names of transformers."""
_DROP = ("clip_", "final_clip_decoder.", "img_pos_embed")
"""Beginnings of the names of tensors that only the training of InternVideo2 and its image path need."""
_EPS = 1e-6


class InternVideo2Attention(nn.Module):
    def __init__(self, spec: InternVideo2Spec) -> None:
        super().__init__()
        self.heads = spec.heads
        self.qkv = nn.Linear(spec.width, 3 * spec.width, bias=False)
        self.q_norm = nn.RMSNorm(spec.width, _EPS)
        self.k_norm = nn.RMSNorm(spec.width, _EPS)
        self.proj = nn.Linear(spec.width, spec.width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, C) -> (B, N, C); queries and keys are normalized over all heads together."""
        q, k, v = self.qkv(x).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (self.q_norm(q), self.k_norm(k), v))
        return self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class LayerScale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((width,), 1e-5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gamma


class InternVideo2Block(nn.Module):
    def __init__(self, spec: InternVideo2Spec) -> None:
        super().__init__()
        self.norm1 = nn.RMSNorm(spec.width, _EPS)
        self.attn = InternVideo2Attention(spec)
        self.ls1 = LayerScale(spec.width)
        self.norm2 = nn.RMSNorm(spec.width, _EPS)
        gelu = nn.GELU("tanh" if spec.activation == "gelu_tanh" else "none")
        fc1, fc2 = nn.Linear(spec.width, spec.mlp), nn.Linear(spec.mlp, spec.width)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=gelu, fc2=fc2))
        self.ls2 = LayerScale(spec.width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.ls1(self.attn(self.norm1(x)))
        return x + self.ls2(self.mlp(self.norm2(x)))


class InternVideo2PatchEmbed(nn.Module):
    def __init__(self, spec: VitSpec) -> None:
        super().__init__()
        patch = (1, spec.patch, spec.patch)
        self.proj = nn.Conv3d(3, spec.width, patch, stride=patch)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) -> (B, T*h*w, C)."""
        side = self.proj.stride[1]
        kernel = self.proj.weight.squeeze(2)  # one frame deep: the same in two dimensions, and much faster there
        patches = F.conv2d(pixels.flatten(0, 1), kernel, self.proj.bias, stride=side).flatten(2).transpose(1, 2)
        return patches.reshape(len(pixels), -1, patches.shape[-1])


class InternVideo2(Encoder):
    """The tokens after the block `select`; each frame is given the one CLS token of the video.

    Later blocks belong to the published weights: they are held and counted, do not train and are not computed.
    """

    def __init__(self, spec: InternVideo2Spec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = InternVideo2PatchEmbed(spec)
        self.cls_token = nn.Parameter(torch.empty(1, 1, spec.width))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + spec.frames * spec.grid**2, spec.width))
        self.blocks = nn.ModuleList(InternVideo2Block(spec) for _ in range(spec.layers))
        self._initialize()
        self.blocks[spec.depth :].requires_grad_(False)

    def _initialize(self) -> None:
        nn.init.normal_(self.cls_token, std=0.02)
        nn.init.normal_(self.pos_embed, std=0.02)
        for index, block in enumerate(self.blocks, 1):
            for name, module in block.named_modules():
                if isinstance(module, nn.Linear):
                    deep = name in ("attn.proj", "mlp.fc2")
                    nn.init.normal_(module.weight, std=0.02 / (2 * index) ** 0.5 if deep else 0.02)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalized -> (B, T, 1 + h*w, C). Raise a ValueError for frames of another size."""
        return self.block_outputs(pixels, [self.spec.depth - 1])[0]

    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """(B, T, 3, H, W) normalized -> for each block (B, T, 1 + h*w, C)."""
        self.spec.check_pixels(*pixels.shape[3:])
        frames = pixels.shape[1]
        x = self.patch_embed(pixels)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self._positions(frames)
        return [_by_frame(output, frames) for output in outputs_of(self.blocks, x, indices)]

    def _positions(self, frames: int) -> Tensor:
        """(1, N, C): the table, interpolated linearly in time where the video has another number of frames."""
        if frames == self.spec.frames:
            return self.pos_embed
        table = self.pos_embed[0, 1:].unflatten(0, (self.spec.frames, -1)).permute(1, 2, 0)
        resized = F.interpolate(table, size=frames, mode="linear").permute(2, 0, 1).flatten(0, 1)
        return torch.cat([self.pos_embed[:, :1], resized[None]], 1)

    def load_pretrained(self) -> None:
        """Take the weights at `path`. Raise a CheckpointError where names or shapes do not fit."""
        path = self.spec.path
        if path is not None:
            load_weights(self, ReleasedWeights(path).state(_FILES), path, ("vision_encoder.",), _DROP)


def _by_frame(x: Tensor, frames: int) -> Tensor:
    """(B, 1 + T*h*w, C) -> (B, T, 1 + h*w, C): each frame with the one CLS token of the video."""
    cls = x[:, None, :1].expand(-1, frames, -1, -1)
    return torch.cat([cls, x[:, 1:].unflatten(1, (frames, -1))], 2)
