"""Options of the encoder-based aligners. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api import (
    AlignerSpec,
    DownsamplerSpec,
    EncoderSpec,
    Projector,
    Slot,
    Spec,
    TokenLayout,
    VideoInput,
    VideoShape,
    default_component,
)
from vlmkit.api.bounds import Frames, Tokens
from vlmkit.nn.geometry import tile_grid

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit.nn import Ints

__all__ = ["ChatUniViSpec", "EncoderAlignerSpec", "PllavaSpec", "Scale", "VideoChatGptSpec", "VideoLlavaSpec"]

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
        import numpy as np

        count = self.input.frames
        return np.arange(count) * (present - 1) // max(count - 1, 1)

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
        import numpy as np

        count = self.input.frames
        return np.repeat(np.arange(present), 1 if present >= count else count // present + 1)[:count]

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


class Scale(Spec):
    """One clustering of a frame's tokens, and of an event's."""

    tokens: Tokens
    """Clusters, each of which becomes one token."""
    neighbours: Tokens
    """k: nearest neighbors (itself included) that a token's density is measured with."""


class ChatUniViSpec(EncoderAlignerSpec):
    """Chat-UniVi (arXiv:2311.08046): CLIP features merged by DPC-KNN clustering, and one linear layer.

    Each frame's patches are merged to 64 tokens, these to 32, these to 16. The frames, as means of their patches, are
    clustered into one event per 16 frames. The 64 tokens of all frames of an event are merged to 64 again, the 32 to
    32, the 16 to 16: 112 tokens per event. Events stand in the order of their first frames; the tokens of a scale in
    the order of their centers' scores.

    What differs from the source: it adds random noise to the densities so that no two are equal; here of two tokens of
    equal density (or score, or distance) the earlier one comes first, so that the same video gives the same tokens. The
    mean of a cluster is exact, where the source divides by the count + 1e-6. Videos of one or two frames are videos,
    where the source treats them as images (112 tokens per frame, not merged over time).

    Frames that are padding take no part. A token is a mean of patches of anywhere in its event, so there are none to
    distill. Clustering is a matter of yes or no: where two choices are nearly equal, rounding (another dtype, another
    device) can tip it, and tokens then differ by more than rounding.
    """

    type: Literal["chat-univi"] = "chat-univi"
    input: VideoInput = VideoInput(frames=64, sampling="one-fps", size=224, fit="crop")
    """The pixels it wants: one frame per second, up to 64, center crop of 224x224."""
    projector: Projector = "linear"
    """From the encoder's width to the LLM's."""
    scales: Annotated[tuple[Scale, ...], Field(max_length=10)] = (
        Scale(tokens=64, neighbours=5),
        Scale(tokens=32, neighbours=3),
        Scale(tokens=16, neighbours=3),
    )
    """Successive clusterings of a frame; each one starts from the tokens of the one before."""
    event_frames: Frames = 16
    """Frames per event: n frames are clustered into ceil(n / event_frames) events."""
    event_neighbours: Frames = 5
    """k for the clustering of frames; where there are fewer events than that, half of their number (1 to 3)."""

    tiny_options: ClassVar[Mapping[str, Any]] = {
        "scales": [{"tokens": 4, "neighbours": 3}, {"tokens": 2, "neighbours": 2}],
        "event_frames": 2,
    }

    @model_validator(mode="after")
    def _shrinks(self) -> ChatUniViSpec:
        height, width = self.grid(self.input.size, self.input.size)
        counts = [height * width, *(scale.tokens for scale in self.scales)]
        if not self.scales or any(later > earlier for earlier, later in pairwise(counts)):
            raise ValueError(
                "each scale needs at most the tokens of the one before, "
                f"found {counts[1:]} tokens from {counts[0]} patches"
            )
        return self

    @property
    def event_tokens(self) -> int:
        """Tokens of one event."""
        return sum(scale.tokens for scale in self.scales)

    def events(self, present: int) -> int:
        """Events of a video of `present` frames."""
        return -(-present // self.event_frames)

    def layout(self, video: VideoShape) -> TokenLayout:
        """One block of tokens per event."""
        from vlmkit.nn import layout_without_patches

        height, width = self.check(video)
        if height * width < (first := self.scales[0].tokens):
            raise ValueError(f"{height}x{width} patches are fewer than the {first} tokens of the first scale")
        tokens = self.event_tokens * self.events(video.num_frames_present)
        return layout_without_patches(tokens, video.frames, (height, width))

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines._chat_univi import ChatUniVi

        return ChatUniVi(self, llm_width)
