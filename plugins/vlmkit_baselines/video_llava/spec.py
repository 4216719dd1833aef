"""Options of the aligner `video-llava`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import model_validator

from vlmkit.api import EncoderSpec, Slot, TokenLayout, VideoInput, VideoShape, default_component
from vlmkit_baselines.spec import EncoderAlignerSpec

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit_baselines.layouts import Ints

__all__ = ["VideoLlavaSpec"]


class VideoLlavaSpec(EncoderAlignerSpec):
    """Video-LLaVA (arXiv:2311.10122): every token of LanguageBind's video tower, CLS included, through an MLP.

    A video with fewer frames than `input.frames` repeats them, in order, as evenly as whole numbers allow: what
    sampling first to last gives for a video of so few frames. The repeats take part in the encoder's attention over
    time.
    """

    type: Literal["video-llava"] = "video-llava"
    input: VideoInput = VideoInput(frames=8, sampling="uniform", size=224, fit="crop")
    """The pixels it wants: 8 frames, centre crop of 224x224."""
    encoder: Slot[EncoderSpec] = default_component("languagebind-video")
    """The vision tower."""

    @model_validator(mode="after")
    def _one_clip(self) -> VideoLlavaSpec:
        limit, frames = self.encoder.frame_limit, self.input.frames
        if limit is not None and frames > limit:
            raise ValueError(
                f"input.frames is {frames}, but the encoder takes at most {limit} frames of a video; lower it, or take "
                "weights made for more (`encoder.frames`)"
            )
        return self

    def order(self, present: int) -> Ints:
        """(n,) which of the present frames each of the n = `input.frames` blocks shows."""
        from vlmkit_baselines.layouts import evenly

        return evenly(present, self.input.frames)

    def layout(self, video: VideoShape) -> TokenLayout:
        """`input.frames` blocks of CLS and patches."""
        from vlmkit_baselines.layouts import blocks_of_frames

        grid, order = self.check(video), self.order(video.num_frames_present)
        return blocks_of_frames(order, video.frames, grid, self.encoder.prefix_tokens, cells=True)

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines.video_llava.module import VideoLlava

        return VideoLlava(self, llm_width)
