"""The modules of the encoder-based aligners, except that of `chat-univi`.

Shape letters: B videos, T frames, F frames present in the whole batch, H W pixels, P patches of a frame, h w its
tokens, S temporal tokens or blocks of tokens (`input.frames`), C channels, D LLM width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from vlmkit.api import Aligner, VideoBatch, VisualTokens
from vlmkit.nn import build_projector, gather_tokens, present_frames, to_slots

if TYPE_CHECKING:
    from vlmkit_baselines.spec import EncoderAlignerSpec, PllavaSpec, VideoChatGptSpec, VideoLlavaSpec

__all__ = ["EncoderAligner", "Pllava", "VideoChatGpt", "VideoLlava"]


class EncoderAligner(Aligner):
    """Encoder and projector; subclasses choose frames and reduce tokens."""

    def __init__(self, spec: EncoderAlignerSpec, llm_width: int) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = spec.encoder.build()
        self.projector = build_projector(spec.projector, spec.encoder.width, llm_width)

    def load_pretrained(self) -> None:
        """Load the encoder's weights."""
        self.encoder.load_pretrained()

    def encode_present(self, video: VideoBatch) -> tuple[Tensor, Tensor]:
        """Encode each present frame by itself, whatever the encoder would do with several.

        Returns:
            features (F, P, C) of the patches, and (F,) which of the B * T frames they belong to.
        """
        pixels_F13HW, present = present_frames(video)
        return self.encoder(pixels_F13HW)[:, 0, self.spec.encoder.prefix_tokens :], present


class VideoChatGpt(EncoderAligner):
    """Means over space, means over time."""

    spec: VideoChatGptSpec

    def forward(self, video: VideoBatch) -> VisualTokens:
        """S + P tokens per video."""
        layouts = [self.spec.layout(shape) for shape in video.shapes()]
        features_BTPC = to_slots(*self.encode_present(video), video.frame_mask)
        frames = video.frame_mask.sum(1).to(features_BTPC.device)
        spatial_BPC = features_BTPC.sum(1) / frames[:, None, None]
        temporal_BSC = pad(features_BTPC.mean(2), (0, 0, 0, self.spec.input.frames - features_BTPC.shape[1]))
        pool = self.projector(torch.cat([temporal_BSC, spatial_BPC], 1)).flatten(0, 1)
        return gather_tokens(pool, list(np.arange(len(pool)).reshape(len(layouts), -1)), layouts)


class VideoLlava(EncoderAligner):
    """All tokens of all frames."""

    spec: VideoLlavaSpec

    def forward(self, video: VideoBatch) -> VisualTokens:
        """S blocks of CLS and patches per video."""
        shapes = video.shapes()
        layouts = [self.spec.layout(shape) for shape in shapes]
        slots = video.pixels.shape[1]
        order_BS = np.stack([self.spec.order(shape.num_frames_present) for shape in shapes])
        index = torch.from_numpy(order_BS + np.arange(len(shapes))[:, None] * slots).to(video.pixels.device)
        pixels_BS3HW = video.pixels.flatten(0, 1)[index]
        pool = self.projector(self.encoder(pixels_BS3HW)).flatten(0, 2)
        return gather_tokens(pool, list(np.arange(len(pool)).reshape(len(layouts), -1)), layouts)


class Pllava(EncoderAligner):
    """Project, then pool. A frame that is shown several times is computed once."""

    spec: PllavaSpec

    def __init__(self, spec: PllavaSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        self.downsampler = spec.downsampler.build(llm_width)

    def forward(self, video: VideoBatch) -> VisualTokens:
        """`input.frames` blocks of h * w tokens per video."""
        shapes = video.shapes()
        layouts = [self.spec.layout(shape) for shape in shapes]
        grid = self.spec.grid(shapes[0].height, shapes[0].width)
        projected_FPD = self.projector(self.encode_present(video)[0])
        tokens_FhwD = self.downsampler(projected_FPD.unflatten(1, grid))
        per_frame = tokens_FhwD.shape[1] * tokens_FhwD.shape[2]
        first = np.cumsum([0, *(shape.num_frames_present for shape in shapes)])
        blocks = [first[video] + self.spec.order(shape.num_frames_present) for video, shape in enumerate(shapes)]
        sources = [(block[:, None] * per_frame + np.arange(per_frame)).ravel() for block in blocks]
        return gather_tokens(tokens_FhwD.flatten(0, 2), sources, layouts)
