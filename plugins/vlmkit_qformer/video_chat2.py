"""Options of the aligner `video-chat2`. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from vlmkit.api import (
    EncoderSpec,
    Slot,
    TextInput,
    TokenLayout,
    VideoInput,
    VideoShape,
    default_component,
)
from vlmkit.api.bounds import Fraction, Tokens
from vlmkit_qformer.spec import Blip2AlignerSpec, TextQFormerOptions

if TYPE_CHECKING:
    from vlmkit.api import Aligner

__all__ = ["InstructedOptions", "VideoChat2Spec"]


class InstructedOptions(TextQFormerOptions):
    """The sizes of VideoChat2's Q-Former, and its weights."""

    drop_path: Fraction = 0.2
    """Of whole sequences what a layer adds is left out so often in training: 0 in the first layer, rising evenly to
    this in the last."""
    path: str | None = None
    """Local file, folder or hub id of VideoChat2's first stage, of which the Q-Former, its queries and the norm behind
    the encoder are taken (`umt_l16_qformer.pth`); None: random."""


class VideoChat2Spec(Blip2AlignerSpec):
    """VideoChat2 (arXiv:2311.17005): a Q-Former that reads an instruction, over a tower that sees all frames together.

    The tower looks at a video once; the Q-Former reads its tokens for each instruction. Beside BLIP-2's queries stand
    further ones. Frames that are padding are not looked at. A video of one frame is a picture, to the tower too.

    As in `video-chat` the further queries are 0 at the start, where a gradient clipped by its norm would leave nothing
    to the rest.
    """

    type: Literal["video-chat2"] = "video-chat2"
    input: VideoInput = VideoInput(frames=8, sampling="segment-centre", size=224, fit="crop")
    """The pixels it wants: 8 frames, center crop of 224x224."""
    encoder: Slot[EncoderSpec] = default_component("umt-l")
    """The vision tower. It sees all frames of a video together."""
    qformer: InstructedOptions = InstructedOptions()
    """The Q-Former over the tokens of all frames and the text."""
    text: TextInput = TextInput(source="instruction", length=512)
    """What the Q-Former reads: the instruction, in training with the first question behind it."""
    extra_queries: Tokens = 64
    """Queries beside those of BLIP-2."""

    tiny_options: ClassVar[Mapping[str, Any]] = {
        "qformer": {"width": 32, "heads": 4, "mlp": 64, "queries": 3, "layers": 2, "words": 60, "positions": 24},
        "text": {"tokenizer": {"text": ["say what happens in the video"], "vocab_size": 60}, "length": 24},
        "extra_queries": 2,
    }

    @classmethod
    def tiny(cls) -> Self:
        """4 frames of 4x4 patches; the positions of the encoder are made for 8."""
        plain = super().tiny().model_dump()
        return cls.model_validate({**plain, "encoder": {**plain["encoder"], "frames": 8}})

    @model_validator(mode="after")
    def _reads(self) -> Self:
        self.qformer.check_text(self.text)
        return self

    def wrap(self, times: Sequence[float]) -> str:
        """The tokens of a video between the marks of VideoChat, with its frames' times; those of a picture between
        marks for pictures."""
        return "<Image><video></Image>" if len(times) == 1 else super().wrap(times)

    def layout(self, video: VideoShape) -> TokenLayout:
        """As many tokens as there are queries."""
        return self.layout_of(self.qformer.queries + self.extra_queries, video)

    def build(self, llm_width: int) -> Aligner:
        """The module."""
        from vlmkit_qformer._video_chat2 import VideoChat2

        return VideoChat2(self, llm_width)
