"""The vision transformers of CLIP, of LanguageBind, which attends over time as well, and of DINOv2.

CLIP: arXiv:2103.00020. LanguageBind: arXiv:2310.01852, github.com/PKU-YuanGroup/LanguageBind. DINOv2:
arXiv:2304.07193. Parameters have the published names.

Shape letters: B videos, T frames, F = B*T, H W pixels, h w patches, N = 1 + h*w tokens of a frame, C channels.

| parameter of CLIP and LanguageBind | initialization, L layers |
|---|---|
| class_embedding, temporal_embedding | normal, std C^-0.5 |
| patch_embedding, position_embedding | normal, std 0.02 |
| q, k, v | normal, std C^-0.5 (2 L)^-0.5; biases 0 |
| out_proj | normal, std C^-0.5; bias 0 |
| fc1; fc2 | normal, std (2 C)^-0.5; std C^-0.5 (2 L)^-0.5; biases 0 |
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Dinov2Config, Dinov2Model
from transformers.activations import ACT2FN

from vlmkit.api import CheckpointError, Encoder, reading
from vlmkit.nn import tile_grid
from vlmkit_encoders._blocks import outputs_of
from vlmkit_encoders.released import ReleasedWeights, check_finite_weights, load_weights

if TYPE_CHECKING:
    from vlmkit_encoders.spec import ClipSpec, DinoV2Spec

__all__ = ["ClipEncoder", "DinoV2"]


class ClipEmbeddings(nn.Module):
    def __init__(self, spec: ClipSpec) -> None:
        super().__init__()
        self.class_embedding = nn.Parameter(torch.empty(spec.width))
        self.patch_embedding = nn.Conv2d(3, spec.width, spec.patch, stride=spec.patch, bias=False)
        self.position_embedding = nn.Embedding(1 + spec.grid**2, spec.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """(F, 3, H, W) -> (F, N, C)."""
        patches = self.patch_embedding(pixels).flatten(2).transpose(1, 2)
        cls = self.class_embedding.expand(len(patches), 1, -1)
        return torch.cat([cls, patches], 1) + self.position_embedding.weight


class ClipAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(F, N, C) -> (F, N, C): each of the F sequences attends to itself."""
        q, k, v = (
            proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class ClipLayer(nn.Module):
    """A pre-norm block; with a temporal table, attention over the frames at each position comes before it."""

    def __init__(self, spec: ClipSpec) -> None:
        super().__init__()
        self.self_attn = ClipAttention(spec.width, spec.heads)
        self.layer_norm1 = nn.LayerNorm(spec.width, spec.eps)
        fc1, fc2 = nn.Linear(spec.width, spec.mlp), nn.Linear(spec.mlp, spec.width)
        self.mlp = nn.Sequential(OrderedDict(fc1=fc1, act=ACT2FN[spec.activation], fc2=fc2))
        self.layer_norm2 = nn.LayerNorm(spec.width, spec.eps)
        self.over_time = spec.frame_table > 0
        if self.over_time:
            self.temporal_embedding = nn.Parameter(torch.empty(1, spec.frame_table, spec.width))
            self.temporal_attn = ClipAttention(spec.width, spec.heads)
            self.temporal_layer_norm1 = nn.LayerNorm(spec.width, spec.eps)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B*T, N, C) -> (B*T, N, C) for videos of T = `frames` frames."""
        if self.over_time:
            x = self._attend_over_time(x, frames)
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))

    def _attend_over_time(self, x: Tensor, frames: int) -> Tensor:
        tokens = x.shape[1]
        tubes = x.unflatten(0, (-1, frames)).transpose(1, 2).contiguous().flatten(0, 1)  # (B*N, T, C)
        if frames > 1:
            tubes = tubes + self.temporal_embedding[:, :frames]
        tubes = tubes + self.temporal_attn(self.temporal_layer_norm1(tubes))
        return tubes.unflatten(0, (-1, tokens)).transpose(1, 2).contiguous().flatten(0, 1)


class ClipLayers(nn.Module):
    def __init__(self, spec: ClipSpec) -> None:
        super().__init__()
        self.depth = spec.depth
        self.layers = nn.ModuleList(ClipLayer(spec) for _ in range(spec.layers))

    def forward(self, x: Tensor, frames: int) -> Tensor:
        for layer in self.layers[: self.depth]:
            x = layer(x, frames)
        return x


class ClipEncoder(Encoder):
    """The hidden state `select` of CLIP's or LanguageBind's tower, CLS first.

    Blocks that this hidden state does not depend on, and `post_layernorm` where it is not asked for, belong to the
    published weights: they are held and counted, do not train (`requires_grad` is False) and are not computed.
    """

    def __init__(self, spec: ClipSpec) -> None:
        super().__init__()
        self.spec = spec
        self.embeddings = ClipEmbeddings(spec)
        self.pre_layrnorm = nn.LayerNorm(spec.width, spec.eps)  # spelled as published
        self.encoder = ClipLayers(spec)
        self.post_layernorm = nn.LayerNorm(spec.width, spec.eps)
        self._initialize()
        self.encoder.layers[spec.depth :].requires_grad_(False)
        self.post_layernorm.requires_grad_(spec.final_norm)

    def _initialize(self) -> None:
        width = self.spec.width**-0.5
        deep = width * (2 * self.spec.layers) ** -0.5
        stds = {
            "class_embedding": width,
            "temporal_embedding": width,
            "patch_embedding.weight": 0.02,
            "position_embedding.weight": 0.02,
            "q_proj.weight": deep,
            "k_proj.weight": deep,
            "v_proj.weight": deep,
            "out_proj.weight": width,
            "fc1.weight": (2 * self.spec.width) ** -0.5,
            "fc2.weight": deep,
        }
        for name, parameter in self.named_parameters():
            std = next((std for end, std in stds.items() if name.endswith(end)), None)
            if std is not None:
                nn.init.normal_(parameter, std=std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalized -> (B, T, N, C). Raise a ValueError for frames of another size, or
        too many of them."""
        x = self.encoder(self._embed(pixels), pixels.shape[1])
        if self.spec.final_norm:
            x = self.post_layernorm(x)
        return x.unflatten(0, pixels.shape[:2])

    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """(B, T, 3, H, W) normalized -> for each block (B, T, N, C)."""
        layers = [partial(layer, frames=pixels.shape[1]) for layer in self.encoder.layers]
        return [x.unflatten(0, pixels.shape[:2]) for x in outputs_of(layers, self._embed(pixels), indices)]

    def _embed(self, pixels: Tensor) -> Tensor:
        frames, _, height, width = pixels.shape[1:]
        self.spec.check_pixels(height, width)
        table = self.spec.frame_table
        if table and frames > table:
            raise ValueError(
                f"encoder {self.spec.type!r}: its temporal table holds {table} frames (`frames`), found videos of "
                f"{frames}; sample fewer frames or take weights made for more"
            )
        return self.pre_layrnorm(self.embeddings(pixels.flatten(0, 1)))

    def load_pretrained(self) -> None:
        """Take the weights at `path`: a whole CLIP or LanguageBind model, or its vision tower alone.

        Raise a CheckpointError where their config contradicts the spec, or names or shapes do not fit.
        """
        if self.spec.path is None:
            return
        weights = ReleasedWeights(self.spec.path)
        self.spec.check_config(weights.config(), self.spec.path)
        prefixes = ("vision_model.", "video_tower.")
        load_weights(self, weights.state(), self.spec.path, prefixes, ("embeddings.position_ids",))


class DinoV2(Encoder):
    """All tokens of the last block after the final norm, CLS first: the model of transformers, initialized as there,
    with the position interpolation of DINOv2's own code.

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
        """(B, T, 3, H, W) normalized -> (B, T, N, C). Raise a ValueError where patches do not tile H x W."""
        height, width = pixels.shape[3:]
        tile_grid("encoder 'dinov2': patches", self.spec.patch, height, width, "pixels")
        tokens: Tensor = self.model(pixel_values=pixels.flatten(0, 1)).last_hidden_state
        return tokens.unflatten(0, pixels.shape[:2])

    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """(B, T, 3, H, W) normalized -> for each block (B, T, N, C)."""
        height, width = pixels.shape[3:]
        tile_grid("encoder 'dinov2': patches", self.spec.patch, height, width, "pixels")
        x = self.model.embeddings(pixels.flatten(0, 1))
        return [x.unflatten(0, pixels.shape[:2]) for x in outputs_of(self.model.encoder.layer, x, indices)]

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
        """Take the weights at `path`. Raise a CheckpointError where config, names or shapes do not fit."""
        path = self.spec.path
        if path is None:
            return
        weights = ReleasedWeights(path)
        self.spec.check_config(weights.config(), path)
        options = {"config": self.model.config, "dtype": torch.float32, "output_loading_info": True}
        state = weights.state()
        check_finite_weights(state, path)
        with reading(f"cannot load the weights at {path}", "compare the spec with their config", CheckpointError):
            # transformers knows the published names, which are no longer those of its modules
            loaded, info = Dinov2Model.from_pretrained(None, state_dict=state, **options)
        if info["missing_keys"]:
            missing = sorted(info["missing_keys"])
            raise CheckpointError(
                f"the weights at {path} lack {len(missing)} tensors of DINOv2: {', '.join(missing[:8])}"
            )
        self.model.load_state_dict(loaded.state_dict())
