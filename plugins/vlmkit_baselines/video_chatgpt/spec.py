"""Options of the aligner `video-chatgpt`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from vlmkit.api import Projector, TokenLayout, VideoInput, VideoShape
from vlmkit_baselines.spec import EncoderAlignerSpec

if TYPE_CHECKING:
    from vlmkit.api import Aligner

__all__ = ["VideoChatGptSpec"]


class VideoChatGptSpec(EncoderAlignerSpec):
    """Video-ChatGPT (arXiv:2306.05424): means over space and over time of CLIP features, and one linear layer.

    The sequence is one mean over the patches per frame slot (100), then one mean over the frames per patch (256). A
    slot without a frame has features of zero, which the projector turns into its bias; the means over time are over the
    frames that are there. No token stands at a cell of a frame, so there are no patches to distil.
    """

    type: Literal["video-chatgpt"] = "video-chatgpt"
    input: VideoInput = VideoInput(frames=100, sampling="segment-midpoint", size=224, fit="squash")
    """The pixels it wants: up to 100 frames of 224x224, aspect ignored."""
    projector: Projector = "linear"
    """How tokens get the LLM's width."""

    def layout(self, video: VideoShape) -> TokenLayout:
        """`input.frames` temporal tokens and one spatial token per patch."""
        from vlmkit_baselines.layouts import no_patches

        height, width = self.check(video)
        return no_patches(self.input.frames + height * width, video.frames, (height, width))

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines.video_chatgpt.module import VideoChatGpt

        return VideoChatGpt(self, llm_width)
