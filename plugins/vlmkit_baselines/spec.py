"""Options of the encoder-based aligners, except those of `chat-univi`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from vlmkit.api import (
    AlignerSpec,
    DownsamplerSpec,
    EncoderSpec,
    Projector,
    Slot,
    TokenLayout,
    VideoInput,
    VideoShape,
    default_component,
)
from vlmkit.nn.geometry import tile_grid

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit.nn import Ints

__all__ = ["EncoderAlignerSpec", "PllavaSpec", "VideoChatGptSpec", "VideoLlavaSpec"]

_TINY_ENCODER = {"width": 32, "layers": 3, "heads": 4, "mlp": 64, "patch": 7, "image_size": 28}


class EncoderAlignerSpec(AlignerSpec):
    """Options of an aligner whose features come from a pretrained encoder.

    The encoder sees the whole canvas: padding inside the picture (`fit: pad`) is picture to it.
    """

    encoder: Slot[EncoderSpec] = default_component("clip-vision")
    """The vision tower."""
    projector: Projector = "mlp2x_gelu"
    """From the encoder's width to the LLM's."""

    tiny_options: ClassVar[Mapping[str, Any]] = {}
    """Options that `tiny` makes small besides frames and encoder."""

    @classmethod
    def tiny(cls) -> Self:
        """4 frames of 4x4 patches."""
        encoder = {**cls.model_fields["encoder"].default, **_TINY_ENCODER}
        return cls.model_validate({"input": {"frames": 4, "size": 28}, "encoder": encoder, **cls.tiny_options})

    @model_validator(mode="after")
    def _tiles(self) -> EncoderAlignerSpec:
        self.grid(self.input.size, self.input.size)
        self.encoder.check_size(self.input.size)
        return self

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches of a canvas of height x width pixels. Raise a ValueError where they do not tile it."""
        try:
            return tile_grid("the encoder's patches", self.encoder.patch, height, width, "pixels")
        except ValueError as error:
            raise ValueError(f"{error}; change `input.size` or the encoder") from None

    def check(self, video: VideoShape) -> tuple[int, int]:
        """Return the patch grid of a video. Raise a ValueError where its frames or its patches do not fit."""
        if not 1 <= video.num_frames_present <= video.frames <= self.input.frames:
            raise ValueError(
                f"{self.type} takes 1 to {self.input.frames} frames (`input.frames`), "
                f"found {video.num_frames_present} in {video.frames} slots"
            )
        return self.grid(video.height, video.width)


def spread_evenly(present: int, slots: int) -> Ints:
    """(slots,) indices of frames from the first of `present` to the last, rounded down."""
    import numpy as np

    return np.arange(slots) * (present - 1) // max(slots - 1, 1)


def repeat_frames(present: int, slots: int) -> Ints:
    """(slots,) indices of frames, each `slots // present + 1` times where there are too few, cut at `slots`."""
    import numpy as np

    times = 1 if present >= slots else slots // present + 1
    return np.repeat(np.arange(present), times)[:slots]


class VideoChatGptSpec(EncoderAlignerSpec):
    """Video-ChatGPT (arXiv:2306.05424): means over space and over time of CLIP features, and one linear layer.

    The sequence is one mean over the patches per frame slot (100), then one mean over the frames per patch (256). A
    slot without a frame has features of zero, which the projector turns into its bias; the means over time are over the
    frames that are there. No token stands at a cell of a frame, so there are no patches to distill.
    """

    type: Literal["video-chatgpt"] = "video-chatgpt"
    input: VideoInput = VideoInput(frames=100, sampling="segment-midpoint", size=224, fit="squash")
    """The pixels it wants: up to 100 frames of 224x224, aspect ignored."""
    projector: Projector = "linear"
    """From the encoder's width to the LLM's."""

    def layout(self, video: VideoShape) -> TokenLayout:
        """`input.frames` temporal tokens and one spatial token per patch."""
        from vlmkit.nn import layout_without_patches

        height, width = self.check(video)
        return layout_without_patches(self.input.frames + height * width, video.frames, (height, width))

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines._module import VideoChatGpt

        return VideoChatGpt(self, llm_width)


class VideoLlavaSpec(EncoderAlignerSpec):
    """Video-LLaVA (arXiv:2311.10122): every token of LanguageBind's video tower, CLS included, through an MLP.

    A video with fewer frames than `input.frames` repeats them, in order, as evenly as whole numbers allow: what
    sampling first to last gives for a video of so few frames. The repeats take part in the encoder's attention over
    time.
    """

    type: Literal["video-llava"] = "video-llava"
    input: VideoInput = VideoInput(frames=8, sampling="uniform", size=224, fit="crop")
    """The pixels it wants: 8 frames, center crop of 224x224."""
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
        """(n,) index of the present frame that each of the n = `input.frames` blocks shows."""
        return spread_evenly(present, self.input.frames)

    def layout(self, video: VideoShape) -> TokenLayout:
        """`input.frames` blocks of CLS and patches."""
        from vlmkit.nn import layout_of_blocks

        grid, order = self.check(video), self.order(video.num_frames_present)
        return layout_of_blocks(order, video.frames, grid, self.encoder.prefix_tokens, cells=True)

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines._module import VideoLlava

        return VideoLlava(self, llm_width)


class PllavaSpec(EncoderAlignerSpec):
    """PLLaVA (arXiv:2404.16994): CLIP features through an MLP, and only then pooled.

    The published pooling is (16, 12, 12) of 16 frames, so time stays as it is. A video with t frames, fewer than
    `input.frames` = n, shows each of them n // t + 1 times and is cut at n blocks, as the source does; where the cut
    leaves frames out (5 frames in 16 blocks), these have no tokens.
    """

    type: Literal["pllava"] = "pllava"
    input: VideoInput = VideoInput(frames=16, sampling="segment-centre", size=336, fit="crop")
    """The pixels it wants: 16 frames, center crop of 336x336."""
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
        """(n,) index of the present frame that each of the n = `input.frames` blocks shows."""
        return repeat_frames(present, self.input.frames)

    def layout(self, video: VideoShape) -> TokenLayout:
        """`input.frames` blocks of the downsampler's tokens."""
        from vlmkit.nn import layout_of_blocks

        grid = self.downsampler.grid(*self.check(video))
        return layout_of_blocks(
            self.order(video.num_frames_present), video.frames, grid, prefix=0, cells=self.downsampler.keeps_rows()
        )

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines._module import Pllava

        return Pllava(self, llm_width)
