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
        features_FSE = self.encoder(pixels)[:, 0]
        shown_QT = video.frame_mask[text.video_of_text].numpy()
        text_P, time_P = shown_QT.nonzero()
        place_BT = video.frame_mask.flatten().cumsum(0).view_as(video.frame_mask).numpy() - 1
        frame_P = place_BT[text.video_of_text.numpy()[text_P], time_P]
        frames, texts = (torch.from_numpy(index).to(pixels.device) for index in (frame_P, text_P))
        context_PD = self._context(features_FSE, frames, text.ids[texts], text.mask[texts])
        content_FGD = self._content(features_FSE[:, self.spec.encoder.prefix_tokens :], video)
        count, per_frame = len(frame_P), content_FGD.shape[1]
        own = count + frame_P[:, None] * per_frame + np.arange(per_frame)
        blocks = np.concatenate([np.arange(count)[:, None], own], 1)
        sources = np.split(blocks, shown_QT.sum(1).cumsum()[:-1])
        shapes = video.shapes()
        layouts = [self.spec.layout(shapes[index]) for index in text.video_of_text.tolist()]
        pool = torch.cat([context_PD, content_FGD.flatten(0, 1)])
        return gather_tokens(pool, [source.ravel() for source in sources], layouts)

    def _context(self, features: Tensor, frames: Tensor, ids: Tensor, mask: Tensor) -> Tensor:
        """Features (F, prefix + S, E), and of each pair the frame (P,) and the text (P, L) -> (P, D)."""
        queries = self.query_tokens.expand(len(frames), -1, -1)
        read_PNE = self.query_projector(self.qformer(queries, self.norm(features)[frames], ids=ids, text_mask=mask))
        patches_FSE = features[:, self.spec.encoder.prefix_tokens :]
        key_PES = self.key_projector(patches_FSE).transpose(1, 2)[frames]
        weights_PNS = (read_PNE @ key_PES * features.shape[2] ** -0.5).softmax(-1)
        mean_PE = (weights_PNS.mean(1, keepdim=True) @ patches_FSE[frames])[:, 0]
        return self.value_projector(mean_PE)

    def _content(self, patches: Tensor, video: VideoBatch) -> Tensor:
        """(F, S, E) -> (F, G, D)."""
        grid = self.spec.grid(*video.pixels.shape[3:])
        maps_FEhw = patches.transpose(1, 2).unflatten(2, grid)
        pooled_FGE = F.avg_pool2d(maps_FEhw, self.spec.pooled(grid)).flatten(2).transpose(1, 2)
        projected: Tensor = self.projector(pooled_FGE)
        return projected
