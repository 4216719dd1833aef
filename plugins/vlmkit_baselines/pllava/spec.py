"""Options of the aligner `pllava`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import model_validator

from vlmkit.api import DownsamplerSpec, EncoderSpec, Slot, TokenLayout, VideoInput, VideoShape, default_component
from vlmkit_baselines.spec import EncoderAlignerSpec

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit_baselines.layouts import Ints

__all__ = ["PllavaSpec"]


class PllavaSpec(EncoderAlignerSpec):
    """PLLaVA (arXiv:2404.16994): CLIP features through an MLP, and only then pooled.

    The published pooling is (16, 12, 12) of 16 frames, so time stays as it is. A video with t frames, fewer than
    `input.frames` = n, shows each of them n // t + 1 times and is cut at n blocks, as the source does; where the cut
    leaves frames out (5 frames in 16 blocks), these have no tokens.
    """

    type: Literal["pllava"] = "pllava"
    input: VideoInput = VideoInput(frames=16, sampling="segment-centre", size=336, fit="crop")
    """The pixels it wants: 16 frames, centre crop of 336x336."""
    encoder: Slot[EncoderSpec] = default_component("clip-vision", image_size=336)
    """The vision tower."""
    downsampler: Slot[DownsamplerSpec] = default_component("adaptive-pool", height=12, width=12)
    """How the projected tokens of a frame become fewer."""

    tiny_options: ClassVar[Mapping[str, Any]] = {"downsampler": {"type": "adaptive-pool", "height": 2, "width": 2}}

    @model_validator(mode="after")
    def _after_the_projector(self) -> PllavaSpec:
        if self.downsampler.pixel_stride != 1:
            raise ValueError(
                f"pllava pools projected tokens, {self.downsampler.type!r} works on pixels: "
                "set a smaller `input.size` with the downsampler 'none' instead"
            )
        self.downsampler.grid(*self.grid(self.input.size, self.input.size))
        return self

    def order(self, present: int) -> Ints:
        """(n,) which of the present frames each of the n = `input.frames` blocks shows."""
        from vlmkit_baselines.layouts import several_times

        return several_times(present, self.input.frames)

    def layout(self, video: VideoShape) -> TokenLayout:
        """`input.frames` blocks of the downsampler's tokens."""
        from vlmkit_baselines.layouts import blocks_of_frames

        grid = self.downsampler.grid(*self.check(video))
        return blocks_of_frames(
            self.order(video.num_frames_present), video.frames, grid, prefix=0, cells=self.downsampler.keeps_rows()
        )

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines.pllava.module import Pllava

        return Pllava(self, llm_width)
