"""The aligner `pllava`.

Shape letters: F frames present in the whole batch, P patches of a frame, h w its tokens, D LLM width.
"""

from __future__ import annotations

import numpy as np

from vlmkit.api import VideoBatch, VisualTokens
from vlmkit.nn.assemble import assemble
from vlmkit_baselines.module import EncoderAligner
from vlmkit_baselines.pllava.spec import PllavaSpec

__all__ = ["Pllava"]


class Pllava(EncoderAligner):
    """Project, then pool. A frame that is shown several times is computed once."""

    def __init__(self, spec: PllavaSpec, llm_width: int) -> None:
        super().__init__(spec, llm_width)
        self.spec = spec
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
        return assemble(tokens_FhwD.flatten(0, 2), sources, layouts)
