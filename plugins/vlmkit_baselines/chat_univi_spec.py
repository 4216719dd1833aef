"""Options of the aligner `chat-univi`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field, model_validator

from vlmkit.api import Projector, Spec, TokenLayout, VideoInput, VideoShape
from vlmkit.api.bounds import Frames, Tokens
from vlmkit_baselines.spec import EncoderAlignerSpec

if TYPE_CHECKING:
    from vlmkit.api import Aligner

__all__ = ["ChatUniViSpec", "Scale"]


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
    distil. Clustering is a matter of yes or no: where two choices are nearly equal, rounding (another dtype, another
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
        return layout_without_patches(
            self.event_tokens * self.events(video.num_frames_present), video.frames, (height, width)
        )

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_baselines._chat_univi import ChatUniVi

        return ChatUniVi(self, llm_width)
