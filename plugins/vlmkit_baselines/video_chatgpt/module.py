"""The aligner `video-chatgpt`.

Shape letters: B videos, T frames, P patches of a frame, S temporal tokens, C channels, D LLM width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import pad

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.nn.assemble import assemble
from vlmkit_baselines.module import EncoderAligner
from vlmkit_baselines.video_chatgpt.spec import VideoChatGptSpec

__all__ = ["VideoChatGpt"]


class VideoChatGpt(EncoderAligner):
    """Means over space, means over time."""

    def __init__(self, spec: VideoChatGptSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        self.spec = spec

    def forward(self, video: VideoBatch) -> VisualTokens:
        """S + P tokens per video."""
        layouts = [self.spec.layout(shape) for shape in video.shapes()]
        features_BTPC = self.encode_padded(video)
        frames = video.frame_mask.sum(1).to(features_BTPC.device)
        spatial_BPC = features_BTPC.sum(1) / frames[:, None, None]
        temporal_BSC = pad(features_BTPC.mean(2), (0, 0, 0, self.spec.input.frames - features_BTPC.shape[1]))
        pool = self.projector(torch.cat([temporal_BSC, spatial_BPC], 1)).flatten(0, 1)
        return assemble(pool, list(np.arange(len(pool)).reshape(len(layouts), -1)), layouts)
