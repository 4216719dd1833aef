"""Options of the Q-Former and of the aligners `video-llama` and `video-chat`. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api import (
    EncoderSpec,
    Projector,
    Slot,
    Spec,
    TextInput,
    TokenLayout,
    TrainedWordPieces,
    VideoInput,
    VideoShape,
    default_component,
)
from vlmkit.api.bounds import Channels, Fraction, Frames, Heads, Hidden, Layers, Length, Tokens
from vlmkit.nn.geometry import check_heads
from vlmkit_baselines.spec import EncoderAlignerSpec

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit_qformer.qformer import QFormer

__all__ = [
    "Blip2AlignerSpec",
    "Blip2Options",
    "GmhraOptions",
    "QFormerAlignerSpec",
    "QFormerOptions",
    "ReleasedFile",
    "TextQFormerOptions",
    "VideoChatSpec",
    "VideoLlamaSpec",
    "VideoQFormerOptions",
]

_TINY = {"width": 32, "heads": 4, "mlp": 64, "queries": 3}


class QFormerOptions(Spec):
    """The sizes of a Q-Former (arXiv:2301.12597). The defaults are BLIP-2's."""

    queries: Tokens = 32
    """Learned queries, each of which becomes a token."""
    layers: Layers = 12
    """Number of layers."""
    cross_every: Layers = 2
    """From the first layer on, every so manieth one lets the queries read the encoder."""
    width: Channels = 768
    """Channels of the queries."""
    heads: Heads = 12
    """Attention heads; they divide `width`."""
    mlp: Hidden = 3072
    """Hidden channels of a layer's MLP."""
    dropout: Fraction = 0.1
    """Of hidden states and of the attention, in training; a Q-Former of which nothing trains has none."""
    drop_path: Fraction = 0.0
    """Of whole sequences what a layer adds is left out so often in training: 0 in the first layer, rising evenly to
    this in the last."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        check_heads("heads", self.heads, self.width)
        return self

    def build(self, context_width: int) -> QFormer:
        """The module, for encoders of so many channels."""
        from vlmkit_qformer.qformer import QFormer

        return QFormer(self, context_width)


class Blip2Options(QFormerOptions):
    """The sizes of BLIP-2's Q-Former, and its weights."""

    path: str | None = None
    """Local file, folder or hub id of a BLIP-2 or InstructBLIP checkpoint, of which the Q-Former, its queries and the
    norm behind the encoder are taken (`blip2_pretrained_flant5xxl.pth`); None: random."""


class TextQFormerOptions(Blip2Options):
    """The sizes of a Q-Former that reads a text beside the encoder's tokens (InstructBLIP, arXiv:2305.06500)."""

    words: Annotated[int, Field(gt=0, le=10**6)] = 30_523
    """Rows of the table of words; the default is that of bert-base-uncased and `[DEC]`."""
    positions: Length = 512
    """The most tokens of a text."""

    def build(self, context_width: int) -> QFormer:
        """The module, for encoders of so many channels."""
        from vlmkit_qformer.qformer import QFormer

        return QFormer(self, context_width, self.words, self.positions)

    def check_text(self, text: TextInput) -> None:
        """Raise a ValueError where the text has tokens or positions that the tables do not have."""
        if text.length > self.positions:
            raise ValueError(
                f"text.length is {text.length}, but there are positions of {self.positions} tokens only; lower it or "
                "raise `qformer.positions`"
            )
        trained = text.tokenizer
        if isinstance(trained, TrainedWordPieces) and trained.vocab_size > self.words:
            raise ValueError(
                f"text.tokenizer.vocab_size is {trained.vocab_size}, but the table has {self.words} words; lower it or "
                "raise `qformer.words`"
            )


class VideoQFormerOptions(QFormerOptions):
    """The sizes of Video-LLaMA's Q-Former over the tokens of all frames."""

    layers: Layers = 2
    """Number of layers."""
    cross_every: Layers = 1
    """From the first layer on, every so manieth one lets the queries read the frames."""


class ReleasedFile(Spec):
    """Weights that a part starts from."""

    path: str
    """Local file, folder or hub id."""


class GmhraOptions(Spec):
    """VideoChat's global relation aggregators (UniFormerV2, arXiv:2211.09552)."""

    layers: Layers = 8
    """How many of the encoder's blocks have one behind them, counted from the last."""
    heads: Heads = 16
    """Attention heads; they divide the encoder's width."""
    mlp: Hidden = 6144
    """Hidden channels of the MLP."""
    dropout: Fraction = 0.5
    """Of the MLP's hidden channels, in training."""


class QFormerAlignerSpec(EncoderAlignerSpec):
    """Options of an aligner that reads its encoder by a Q-Former."""

    encoder: Slot[EncoderSpec] = default_component("eva-clip-g")
    """The vision tower. It sees each frame on its own."""
    qformer: Blip2Options = Blip2Options()
    """BLIP-2's Q-Former."""


class Blip2AlignerSpec(QFormerAlignerSpec):
    """Options of an aligner whose tokens are queries of a Q-Former over a BLIP-2 encoder.

    Their number depends on no video. None of them stands for a patch, so there are none to distill.
    """

    projector: Projector = "linear"
    """From the Q-Former's width to the LLM's."""

    def wrap(self, times: Sequence[float]) -> str:
        """The tokens between the marks of both systems, and where it is known when the frames are shown, their number
        and times, seconds with one decimal place."""
        video = "<Video><video></Video>"
        if any(map(math.isnan, times)):
            return video
        shown = ", ".join(f"{time:.1f}" for time in times)
        return f"{video} The video contains {len(times)} frames sampled at {shown} seconds."

    def layout_of(self, tokens: int, video: VideoShape) -> TokenLayout:
        """The layout of a video whose number of tokens is known."""
        from vlmkit.nn import layout_without_patches

        grid = self.check(video)
        return layout_without_patches(tokens, video.frames, grid)


class VideoLlamaSpec(Blip2AlignerSpec):
    """Video-LLaMA (arXiv:2306.02858), vision branch: BLIP-2's queries of each frame, read by a Q-Former over the video.

    Each frame becomes 32 queries, to which a learned position of the frame is added; 32 queries of the video read
    them. Frames that are padding are not read.
    """

    type: Literal["video-llama"] = "video-llama"
    input: VideoInput = VideoInput(frames=8, sampling="stride", size=224, fit="squash")
    """The pixels it wants: up to 8 frames of 224x224, aspect ignored."""
    video_qformer: VideoQFormerOptions = VideoQFormerOptions()
    """The Q-Former over the tokens of all frames; as wide as `qformer`."""
    frame_table: Frames = 32
    """The most frames: rows of the table of their positions."""
    projector_start: ReleasedFile | None = None
    """MiniGPT-4's checkpoint, of which the projector takes `llama_proj`; None: random."""

    tiny_options: ClassVar[Mapping[str, Any]] = {
        "qformer": {**_TINY, "layers": 2},
        "video_qformer": _TINY,
        "frame_table": 6,
    }

    @model_validator(mode="after")
    def _has_positions(self) -> Self:
        if self.input.frames > self.frame_table:
            raise ValueError(
                f"input.frames is {self.input.frames}, but there are positions of {self.frame_table} frames only; "
                "lower it or raise `frame_table`"
            )
        if self.qformer.width != self.video_qformer.width:
            raise ValueError(
                f"video_qformer.width is {self.video_qformer.width}, expected {self.qformer.width} as of `qformer`, to "
                "whose queries the positions of frames are added"
            )
        if self.projector_start is not None and self.projector != "linear":
            raise ValueError(f"projector_start holds a linear layer, but the projector is {self.projector!r}")
        return self

    def layout(self, video: VideoShape) -> TokenLayout:
        """As many tokens as the video's Q-Former has queries."""
        return self.layout_of(self.video_qformer.queries, video)

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_qformer._video_llama import VideoLlama

        return VideoLlama(self, llm_width)


class VideoChatSpec(Blip2AlignerSpec):
    """VideoChat (arXiv:2305.06355): one Q-Former reads the patches of all frames and a token of the whole video.

    That token starts from a learned one, and behind each of the encoder's last blocks it reads the tokens of all frames
    (GMHRA). Beside BLIP-2's queries stand further ones of VideoChat's own. Frames that are padding are not read.

    The further queries are 0 at the start, where the gradient of the first LayerNorm is about a million times larger
    than usual. The first step decides their direction; a gradient clipped by its norm would leave nothing to the rest.
    """

    type: Literal["video-chat"] = "video-chat"
    input: VideoInput = VideoInput(frames=8, sampling="segment-centre", size=224, fit="crop")
    """The pixels it wants: 8 frames, center crop of 224x224."""
    gmhra: GmhraOptions = GmhraOptions()
    """How the token of the whole video reads the frames."""
    extra_queries: Tokens = 64
    """Queries beside those of BLIP-2."""

    tiny_options: ClassVar[Mapping[str, Any]] = {
        "qformer": {**_TINY, "layers": 2},
        "gmhra": {"layers": 2, "heads": 4, "mlp": 64},
        "extra_queries": 2,
    }

    @model_validator(mode="after")
    def _reads_blocks(self) -> Self:
        check_heads("gmhra.heads", self.gmhra.heads, self.encoder.width)
        if self.gmhra.layers > self.encoder.num_blocks:
            raise ValueError(
                f"gmhra.layers is {self.gmhra.layers}, but the encoder {self.encoder.type!r} gives the outputs of "
                f"{self.encoder.num_blocks} blocks; lower it or take another encoder"
            )
        return self

    def layout(self, video: VideoShape) -> TokenLayout:
        """As many tokens as there are queries."""
        return self.layout_of(self.qformer.queries + self.extra_queries, video)

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_qformer._video_chat import VideoChat

        return VideoChat(self, llm_width)
