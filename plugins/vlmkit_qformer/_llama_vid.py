"""The module of the aligner `llama-vid` (arXiv:2311.17043, code dvlab-research/LLaMA-VID).

Shape letters: B videos, T frames, F frames present in the whole batch, Q texts, P pairs of a text and a frame of its
video, S patches of a frame, G content tokens of a frame, N queries, E channels of the encoder, D LLM width.

| parameter | initialization |
|---|---|
| query_tokens; qformer | normal, std 0.02; as BERT: normal, std 0.02, biases 0 |
| norm, query_projector, key_projector, value_projector, projector | torch's default |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api import TextBatch, UserError, VideoBatch, VisualTokens
from vlmkit.nn import build_projector, gather_tokens, present_frames
from vlmkit_qformer._blip2 import QFormerAligner

if TYPE_CHECKING:
    from vlmkit_qformer.llama_vid import LlamaVidSpec

__all__ = ["LlamaVid"]

_BLOCK = 256
"""Frames, and pairs of a text and a frame, that are computed together: a film has thousands of them. Without memory, on
the meta device, all of them are."""


class LlamaVid(QFormerAligner):
    """A Q-Former with the question, whose queries read the patches of a frame; and means over patches."""

    spec: LlamaVidSpec

    def __init__(self, spec: LlamaVidSpec, llm_width: int) -> None:
        super().__init__(spec)
        width = spec.encoder.width
        self.query_projector = nn.Linear(spec.qformer.width, width)
        self.key_projector = nn.Linear(width, width)
        self.value_projector = nn.Linear(width, llm_width)
        self.projector = build_projector(spec.projector, width, llm_width)

    def forward(self, video: VideoBatch, text: TextBatch | None = None) -> VisualTokens:
        """A block of tokens for each text; the tower sees each frame once."""
        if text is None:
            raise UserError("the aligner llama-vid reads a text with each video: give `text`")
        pixels, _ = present_frames(video)
        block = len(pixels) * int(text.ids.shape[0]) if pixels.is_meta else _BLOCK
        features = torch.cat([self.encoder(part)[:, 0] for part in pixels.split(block)])
        shown_QT = video.frame_mask[text.video_of_text].numpy()
        text_P, time_P = shown_QT.nonzero()
        place_BT = video.frame_mask.flatten().cumsum(0).view_as(video.frame_mask).numpy() - 1
        frame_P = place_BT[text.video_of_text.numpy()[text_P], time_P]
        frames, texts = (torch.from_numpy(index).to(pixels.device) for index in (frame_P, text_P))
        pairs = zip(frames.split(block), texts.split(block), strict=True)
        context_PD = torch.cat([self._context(features[f], text.ids[t], text.mask[t]) for f, t in pairs])
        content_FGD = self._content(features, video)
        count, per_frame = len(frame_P), content_FGD.shape[1]
        own = count + frame_P[:, None] * per_frame + np.arange(per_frame)
        blocks = np.concatenate([np.arange(count)[:, None], own], 1)
        sources = np.split(blocks, shown_QT.sum(1).cumsum()[:-1])
        shapes = video.shapes()
        layouts = [self.spec.layout(shapes[index]) for index in text.video_of_text.tolist()]
        pool = torch.cat([context_PD, content_FGD.flatten(0, 1)])
        return gather_tokens(pool, [source.ravel() for source in sources], layouts)

    def _context(self, features: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """(P, prefix + S, E) of a frame each, with the ids and the mask (P, L) of a text -> (P, D)."""
        queries = self.query_tokens.expand(len(features), -1, -1)
        read_PNE = self.query_projector(self.qformer(queries, self.norm(features), ids=ids, text_mask=mask))
        patches_PSE = features[:, self.spec.encoder.prefix_tokens :]
        scores_PNS = read_PNE @ self.key_projector(patches_PSE).transpose(1, 2) * features.shape[2] ** -0.5
        mean_P1E = scores_PNS.softmax(-1).mean(1, keepdim=True) @ patches_PSE
        context: Tensor = self.value_projector(mean_P1E[:, 0])
        return context

    def _content(self, features: Tensor, video: VideoBatch) -> Tensor:
        """(F, prefix + S, E) -> (F, G, D)."""
        grid = self.spec.grid(*video.pixels.shape[3:])
        maps_FEhw = features[:, self.spec.encoder.prefix_tokens :].transpose(1, 2).unflatten(2, grid)
        pooled_FGE = F.avg_pool2d(maps_FEhw, self.spec.pooled(grid)).flatten(2).transpose(1, 2)
        content: Tensor = self.projector(pooled_FGE)
        return content
