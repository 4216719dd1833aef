"""DINOv2 (arXiv:2304.07193), as transformers has it, with the position interpolation of its own code.

Shape letters: B videos, T frames, H W pixels, h w patches, N = 1 + h*w tokens of a frame, C channels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Dinov2Config, Dinov2Model

from vlmkit.api import CheckpointError, Encoder
from vlmkit.api.foreign import reading

from ._weights import Source, refuse_infinite
from .spec import DinoV2Spec

__all__ = ["DinoV2"]


class DinoV2(Encoder):
    """All tokens of the last block after the final norm, CLS first.

    The mask token, which only DINOv2's own training uses, is held and counted, but does not train.
    """

    def __init__(self, spec: DinoV2Spec) -> None:
        super().__init__()
        self.spec = spec
        config = Dinov2Config(
            hidden_size=spec.width,
            num_hidden_layers=spec.layers,
            num_attention_heads=spec.heads,
            mlp_ratio=spec.mlp // spec.width,
            patch_size=spec.patch,
            image_size=spec.image_size,
        )
        self.model = Dinov2Model(config)
        self.model.embeddings.interpolate_pos_encoding = self._positions
        self.model.embeddings.mask_token.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalised -> (B, T, N, C). A ValueError where H or W is not a multiple of the patch side."""
        height, width = pixels.shape[3:]
        if height % self.spec.patch or width % self.spec.patch:
            raise ValueError(
                f"encoder 'dinov2': expected frames whose sides are multiples of {self.spec.patch} pixels (`patch`), "
                f"found {height}x{width}"
            )
        tokens: Tensor = self.model(pixel_values=pixels.flatten(0, 1)).last_hidden_state
        return tokens.unflatten(0, pixels.shape[:2])

    def _positions(self, embeddings: Tensor, height: int, width: int) -> Tensor:
        """(1, N, C): the table for frames of height x width pixels, bicubic, without antialiasing."""
        table: Tensor = self.model.embeddings.position_embeddings
        side, patch = self.spec.grid, self.spec.patch
        h, w = height // patch, width // patch
        if (h, w) == (side, side):
            return table
        grid = table[:, 1:].unflatten(1, (side, side)).permute(0, 3, 1, 2).float()
        if self.spec.offset:
            scale = ((h + self.spec.offset) / side, (w + self.spec.offset) / side)
            resized = F.interpolate(grid, scale_factor=scale, mode="bicubic")
        else:
            resized = F.interpolate(grid, size=(h, w), mode="bicubic")
        if resized.shape[2:] != (h, w):
            raise ValueError(
                f"offset {self.spec.offset} interpolates to {tuple(resized.shape[2:])} instead of {(h, w)}"
            )
        return torch.cat([table[:, :1], resized.to(table.dtype).flatten(2).transpose(1, 2)], 1)

    def load_pretrained(self) -> None:
        """Take the weights at `path`. A CheckpointError where config, names or shapes do not fit."""
        path = self.spec.path
        if path is None:
            return
        source = Source(path)
        self.spec.check_config(source.config(), path)
        options = {"config": self.model.config, "dtype": torch.float32, "output_loading_info": True}
        state = source.state()
        refuse_infinite(state, path)
        with reading(f"cannot load the weights at {path}", "compare the spec with their config", CheckpointError):
            # transformers knows the published names, which are no longer those of its modules
            loaded, info = Dinov2Model.from_pretrained(None, state_dict=state, **options)
        if info["missing_keys"]:
            missing = sorted(info["missing_keys"])
            raise CheckpointError(
                f"the weights at {path} lack {len(missing)} tensors of DINOv2: {', '.join(missing[:8])}"
            )
        self.model.load_state_dict(loaded.state_dict())
