"""The aligner `video-llava`.

Shape letters: B videos, T frames, S blocks (`input.frames`), H W pixels, D LLM width.
"""

from __future__ import annotations

import numpy as np
import torch

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.nn.assemble import assemble
from vlmkit_baselines.module import EncoderAligner
from vlmkit_baselines.video_llava.spec import VideoLlavaSpec

__all__ = ["VideoLlava"]


class VideoLlava(EncoderAligner):
    """All tokens of all frames."""

    def __init__(self, spec: VideoLlavaSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        self.spec = spec

    def forward(self, video: VideoBatch) -> VisualTokens:
        """S blocks of CLS and patches per video."""
        shapes = video.shapes()
        layouts = [self.spec.layout(shape) for shape in shapes]
        slots = video.pixels.shape[1]
        order_BS = np.stack([self.spec.order(shape.num_frames_present) for shape in shapes])
        index = torch.from_numpy(order_BS + np.arange(len(shapes))[:, None] * slots).to(video.pixels.device)
        pixels_BS3HW = video.pixels.flatten(0, 1)[index]
        pool = self.projector(self.encoder(pixels_BS3HW)).flatten(0, 2)
        return assemble(pool, list(np.arange(len(pool)).reshape(len(layouts), -1)), layouts)
