"""The module of the aligner `video-chat` (arXiv:2305.06355, code OpenGVLab/Ask-Anything, video_chat).

Shape letters: B videos, T frames, F frames present in the whole batch, P prefix tokens of a frame, h w its patches,
S = P + h*w tokens of a frame, N queries, C channels of the encoder, D LLM width.

| parameter | initialization |
|---|---|
| gmhra.token, extra_query_tokens | 0 |
| gmhra: in_proj, mlp.c_fc | Xavier uniform; biases 0 |
| gmhra: out_proj, mlp.c_proj; dpe.bias | 0 |
| query_tokens; qformer | normal, std 0.02; as BERT: normal, std 0.02, biases 0 |
| norms, gmhra: dpe.weight, projector | torch's default |
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.nn import KeyValue, add_space_time, attend, present_frames, to_slots
from vlmkit_qformer._blip2 import Blip2Aligner

if TYPE_CHECKING:
    from vlmkit_qformer.spec import GmhraOptions, VideoChatSpec

__all__ = ["VideoChat"]


class GlobalRelation(nn.Module):
    """One token of the video reads the tokens of all frames, whose patches have positions by a convolution."""

    def __init__(self, options: GmhraOptions, width: int) -> None:
        super().__init__()
        self.dpe = nn.Conv3d(width, width, 3, padding=1, groups=width)
        self.attn = nn.MultiheadAttention(width, options.heads)
        self.ln_1 = nn.LayerNorm(width)
        self.ln_2 = nn.LayerNorm(width)
        self.ln_3 = nn.LayerNorm(width)
        c_fc, c_proj = nn.Linear(width, options.mlp), nn.Linear(options.mlp, width)
        layers = OrderedDict(c_fc=c_fc, gelu=nn.GELU(), dropout=nn.Dropout(options.dropout), c_proj=c_proj)
        self.mlp = nn.Sequential(layers)
        nn.init.xavier_uniform_(c_fc.weight)
        zeros = c_proj.weight, self.attn.out_proj.weight, c_fc.bias, c_proj.bias, self.attn.out_proj.bias, self.dpe.bias
        for parameter in zeros:
            assert parameter is not None
            nn.init.zeros_(parameter)

    def forward(self, token: Tensor, features: Tensor, grid: tuple[int, int], present: Tensor, mask: Tensor) -> Tensor:
        """Return the token (B, C) that has read a block's output.

        Args:
            token: (B, C).
            features: (F, S, C), of the frames that are there.
            grid: (h, w).
            present: (F,) which of the B*T frames they are.
            mask: (B, T), False where a frame is padding.
        """
        frames = to_slots(self.ln_3(features), present, mask)  # B T S C; padding frames are 0, as beyond the video
        prefix, patches = frames.split([frames.shape[2] - grid[0] * grid[1], grid[0] * grid[1]], 2)
        patches = add_space_time(self.dpe, patches.unflatten(2, grid)).flatten(2, 3)
        context = torch.cat([prefix, patches], 2)
        seen = mask.to(context.device)[:, :, None].expand(context.shape[:3]).flatten(1)
        query, key, value = self.attn.in_proj_weight.chunk(3)
        query_bias, _, value_bias = self.attn.in_proj_bias.chunk(3)  # a bias of the keys drops out of the softmax
        queries = nn.functional.linear(self.ln_1(token), query, query_bias)
        scale = self.attn.head_dim**-0.5
        weights = KeyValue(key, value, value_bias)
        token = token + self.attn.out_proj(
            attend(queries, context.flatten(1, 2), weights, self.attn.num_heads, scale, seen)
        )
        return token + self.mlp(self.ln_2(token))


class GlobalRelations(nn.Module):
    """The token of the video, and what it reads behind each block."""

    def __init__(self, options: GmhraOptions, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.blocks = nn.ModuleList(GlobalRelation(options, width) for _ in range(options.layers))

    def forward(self, outputs: Sequence[Tensor], grid: tuple[int, int], present: Tensor, mask: Tensor) -> Tensor:
        """(F, S, C) for each block -> (B, C)."""
        token = self.token[0].expand(len(mask), -1)
        for block, features in zip(self.blocks, outputs, strict=True):
            token = block(token, features, grid, present, mask)
        return token


class VideoChat(Blip2Aligner):
    """A Q-Former reads the tokens of all frames, and one token of the video."""

    spec: VideoChatSpec

    def __init__(self, spec: VideoChatSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        self.gmhra = GlobalRelations(spec.gmhra, spec.encoder.width)
        self.extra_query_tokens = nn.Parameter(torch.zeros(1, spec.extra_queries, spec.qformer.width))

    def tower(self, video: VideoBatch) -> tuple[Tensor, Tensor]:
        """Return (B, T*S + 1, C), the tokens of all frames and that of the video, and (B, T*S + 1), which are there."""
        pixels, present = present_frames(video)
        last = self.spec.encoder.num_blocks
        outputs = self.encoder.block_outputs(pixels, range(last - len(self.gmhra.blocks), last))
        outputs = [output[:, 0] for output in outputs]
        grid = self.spec.grid(*video.pixels.shape[3:])
        token = self.gmhra(outputs, grid, present, video.frame_mask)
        frames = to_slots(outputs[-1], present, video.frame_mask)  # B T S C
        mask = video.frame_mask.to(token.device)[:, :, None].expand(frames.shape[:3]).flatten(1)
        return torch.cat([frames.flatten(1, 2), token[:, None]], 1), nn.functional.pad(mask, (0, 1), value=True)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """N tokens per video."""
        features, mask = self.tower(video)
        queries = torch.cat([self.query_tokens, self.extra_query_tokens], 1).expand(len(features), -1, -1)
        return self.lay_out(self.projector(self.qformer(queries, self.norm(features), mask)), video)
