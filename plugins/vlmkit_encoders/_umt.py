"""UMT's ViT-L/16 (arXiv:2303.16058, code OpenGVLab/unmasked_teacher) as VideoChat2 uses it: joint space-time attention.

Parameters have the published names. Shape letters: B videos, T frames, H W pixels, h w patches, N = T*h*w tokens, C
channels. Initialization: Linear weights Xavier uniform, their biases 0, the rest torch's default.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vlmkit.api import Encoder
from vlmkit.api.weights import STANDARD
from vlmkit.nn import tile_grid
from vlmkit_encoders._blocks import later_blocks, outputs_of
from vlmkit_encoders._eva_clip import EvaBlock
from vlmkit_encoders._internvideo2 import InternVideo2PatchEmbed
from vlmkit_encoders.released import ReleasedWeights, load_weights

if TYPE_CHECKING:
    from vlmkit_encoders.eva_umt import UmtSpec

__all__ = ["Umt"]

_FILES = ("l16_25m.pth", "umt_l16_qformer.pth", *STANDARD)
"""UMT's file, that of VideoChat2's first stage, and the names of transformers."""
_PREFIXES = ("vision_encoder.encoder.", "encoder.")
"""In VideoChat2's file and in UMT's; names without them are of other parts."""


class Umt(Encoder):
    """The tokens of all frames after the last block, which have attended to each other; no CLS, no final norm.

    Positions are sinusoids of the place in `frames` frames of 14x14 patches (at 224 pixels), interpolated bicubically
    to another grid, then linearly to another number of frames; a single frame has the places of an image.
    """

    positions: Tensor
    """(frames * h * w, C), of the frames and the size that the spec names."""

    def __init__(self, spec: UmtSpec) -> None:
        super().__init__()
        self.spec = spec
        self.patch_embed = InternVideo2PatchEmbed(spec)
        self.blocks = nn.ModuleList(EvaBlock(spec) for _ in range(spec.layers))
        self.register_buffer("positions", _sinusoids(spec.frames * spec.grid**2, spec.width), persistent=False)
        for module in self.blocks.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalized -> (B, T, h*w, C). Raise a ValueError where patches do not tile H x W."""
        return self.block_outputs(pixels, [len(self.blocks) - 1])[0]

    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """(B, T, 3, H, W) normalized -> for each block (B, T, h*w, C)."""
        frames, _, height, width = pixels.shape[1:]
        grid = tile_grid("encoder 'umt-l': patches", self.spec.patch, height, width, "pixels")
        x = self.patch_embed(pixels) + self.table(frames, grid).flatten(0, 1)
        return [output.unflatten(1, (frames, -1)) for output in outputs_of(self.blocks, x, indices)]

    def table(self, frames: int, grid: tuple[int, int]) -> Tensor:
        """(T, h*w, C): the positions of a video."""
        side = self.spec.grid
        table = self.positions.unflatten(0, (self.spec.frames, -1))
        if frames == 1:
            table = table[:1]
        if grid != (side, side):
            squares = table.unflatten(1, (side, side)).permute(0, 3, 1, 2)
            table = F.interpolate(squares, size=grid, mode="bicubic").flatten(2).transpose(1, 2)
        if frames not in (1, self.spec.frames):
            times = F.interpolate(table.permute(1, 2, 0), size=frames, mode="linear")
            table = times.permute(2, 0, 1)
        return table

    def load_pretrained(self) -> None:
        """Take the weights at `path`. Raise a CheckpointError where names or shapes do not fit."""
        path = self.spec.path
        if path is None:
            return
        state = ReleasedWeights(path).state(_FILES)
        load_weights(self, state, path, _PREFIXES, ("norm.", *later_blocks(state, self.spec.layers, _PREFIXES)))


def _sinusoids(length: int, width: int) -> Tensor:
    """(N, C): of the angle n / 10000^(2 floor(c/2) / C) even channels have the sine, odd ones the cosine."""
    channels = torch.arange(width, dtype=torch.float64)
    rates = 10000.0 ** (-2 * (channels // 2) / width)
    angles = torch.arange(length, dtype=torch.float64)[:, None] * rates
    return torch.where(channels % 2 == 0, angles.sin(), angles.cos()).float()
