"""The module of the aligner `video-chat2` (arXiv:2311.17005, code OpenGVLab/Ask-Anything, video_chat2).

Shape letters: B videos, T frames, S tokens of a frame, Q texts, N queries, C channels of the encoder, D LLM width.

| parameter | initialization |
|---|---|
| extra_query_tokens | 0 |
| query_tokens; qformer | normal, std 0.02; as BERT: normal, std 0.02, biases 0 |
| norm, projector | torch's default |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from vlmkit.api import Aligner, TextBatch, UserError, VideoBatch, VisualTokens
from vlmkit.api.weights import STANDARD
from vlmkit.nn import build_projector, gather_tokens
from vlmkit_encoders.released import ReleasedWeights, load_weights
from vlmkit_qformer._blip2 import learned_queries

if TYPE_CHECKING:
    from vlmkit_qformer.video_chat2 import VideoChat2Spec

__all__ = ["VideoChat2"]

_EPS = 1e-12
_FILES = ("umt_l16_qformer.pth", *STANDARD)
"""The file of VideoChat2's first stage, and the names of transformers."""


class VideoChat2(Aligner):
    """Encoder, norm, queries, Q-Former with a text, and projector."""

    def __init__(self, spec: VideoChat2Spec, llm_width: int) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = spec.encoder.build()
        self.norm = nn.LayerNorm(spec.encoder.width, _EPS)
        options = spec.qformer
        self.query_tokens = learned_queries(options.queries, options.width)
        self.extra_query_tokens = nn.Parameter(torch.zeros(1, spec.extra_queries, options.width))
        self.qformer = options.build(spec.encoder.width)
        self.projector = build_projector(spec.projector, options.width, llm_width)

    def tower(self, video: VideoBatch) -> tuple[Tensor, Tensor | None]:
        """Return (B, T*S, C), the tokens of all frames, and (B, T*S), which are there; None: all.

        Videos of one number of frames are computed together.
        """
        counts = video.frame_mask.sum(1)
        slots, prefix = video.frame_mask.shape[1], self.spec.encoder.prefix_tokens
        read, order = [], []
        for count in counts.unique().tolist():
            rows = (counts == count).nonzero().squeeze(1)
            tokens = self.encoder(video.pixels[rows.to(video.pixels.device), :count])[:, :, prefix:]
            read.append(pad(tokens, (0, 0, 0, 0, 0, slots - count)))
            order.append(rows)
        places = torch.cat(order).argsort().to(video.pixels.device)
        features = torch.cat(read)[places]  # B T S C
        if video.frame_mask.all():
            return features.flatten(1, 2), None
        mask = video.frame_mask.to(features.device)[:, :, None].expand(features.shape[:3])
        return features.flatten(1, 2), mask.flatten(1)

    def forward(self, video: VideoBatch, text: TextBatch | None = None) -> VisualTokens:
        """N tokens per text."""
        if text is None:
            raise UserError("the aligner video-chat2 reads a text with each video: give `text`")
        features, mask = self.tower(video)
        features = self.norm(features)
        of_text = text.video_of_text.to(features.device)
        queries = torch.cat([self.query_tokens, self.extra_query_tokens], 1).expand(len(of_text), -1, -1)
        read_mask = None if mask is None else mask[of_text]
        tokens = self.projector(self.qformer(queries, features[of_text], read_mask, text.ids, text.mask))
        shapes = video.shapes()
        layouts = [self.spec.layout(shapes[index]) for index in text.video_of_text.tolist()]
        return gather_tokens(
            tokens.flatten(0, 1), list(np.arange(tokens[..., 0].numel()).reshape(len(tokens), -1)), layouts
        )

    def load_pretrained(self) -> None:
        """Load the weights of the encoder and of VideoChat2's first stage."""
        self.encoder.load_pretrained()
        path = self.spec.qformer.path
        if path is None:
            return
        state = ReleasedWeights(path).state(_FILES)
        load_weights(self.norm, state, path, ("vision_layernorm.",), ())
        load_weights(self.qformer, state, path, ("qformer.bert.",), ("embeddings.position_ids",))
        queries = {name: value for name, value in state.items() if name == "query_tokens"}
        load_weights(nn.ParameterDict({"query_tokens": self.query_tokens}), queries, path, (), ())
