"""Options of the aligner `eve-v2`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import model_validator

from vlmkit.api import AlignerSpec, TokenLayout, VideoInput, VideoShape
from vlmkit.api.bounds import Channels, Side
from vlmkit.nn.geometry import check_canvas

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit.nn import PictureBlocks

__all__ = ["EveV2AlignerSpec"]


class EveV2AlignerSpec(AlignerSpec):
    """EVEv2's patch embedding (arXiv:2502.06788, code baaivision/EVE) on each frame of a video, of any sides.

    Two convolutions make one token of 2x2 patches; each frame is [CLS; each row of tokens, then the split token]. The
    published model takes one picture, of up to 1600x1600 pixels while it trains (`input: {frames: 1, size: 1600}`), and
    enlarges smaller ones where it answers (`enlarge: true`); a video is a sequence of pictures here.
    """

    type: Literal["eve-v2"] = "eve-v2"
    takes_any_canvas: ClassVar[bool] = True
    input: VideoInput = VideoInput(frames=8, sampling="uniform", size=800, fit="area", multiple=32)
    """The frames it wants, and the canvas that they are fitted on: sides are multiples of two patches."""
    width: Channels = 1024
    """Channels between the two convolutions."""
    patch: Side = 16
    """Side of a patch, pixels. A token is 2x2 of them."""

    @classmethod
    def tiny(cls) -> Self:
        """2 frames of up to 1024 pixels, 8x8 for a token."""
        return cls.model_validate({"width": 16, "patch": 4, "input": {"frames": 2, "size": 32, "multiple": 8}})

    @model_validator(mode="after")
    def _cells_fit(self) -> Self:
        check_canvas(self.input, 2 * self.patch)
        return self

    def blocks(self) -> PictureBlocks:
        """The order of the tokens."""
        from vlmkit.nn import PictureBlocks

        return PictureBlocks(2 * self.patch, cls=True, row_tokens=True)

    def layout(self, video: VideoShape) -> TokenLayout:
        """The positions of the tokens of one video."""
        return self.blocks().layout(video)

    def build(self, llm_width: int) -> Aligner:
        """Build the module."""
        from vlmkit_eve._eve_v2_aligner import EveV2Aligner

        return EveV2Aligner(self, llm_width)
