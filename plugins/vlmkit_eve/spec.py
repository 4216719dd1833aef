"""Options of the aligner `eve`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from vlmkit.api import AlignerSpec, DownsamplerSpec, Projector, Slot, TokenLayout, VideoShape, default_component
from vlmkit.api.bounds import Channels, Heads, Side
from vlmkit.nn.geometry import check_geometry, check_heads, check_sampling

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit.nn import FrameBlocks

__all__ = ["EveSpec"]


class EveSpec(AlignerSpec):
    """EVE (arXiv:2406.11832, code baaivision/EVE) on each frame of a video: the EVE* of the Video-Panda paper.

    Patches -> the picture without its padding -> downsampler -> FSRA -> [CLS; each row of tokens, then the row token].
    The published image model is this with one frame of 672 pixels (`input: {frames: 1, size: 672}`).
    """

    type: Literal["eve"] = "eve"
    width: Channels = 1024
    """Channels of the patch features."""
    patch: Side = 14
    """Side of a patch, pixels."""
    heads: Heads = 8
    """Attention heads of the layer that makes the CLS token."""
    row_tokens: bool = True
    """A learned token ends each row of tokens. Never where the downsampler keeps no rows."""
    downsampler: Slot[DownsamplerSpec] = default_component("lsd")
    """Makes fewer tokens of the patches."""
    projector: Projector = "mlp2x_gelu"
    """From `width` to the LLM's width."""

    @classmethod
    def tiny(cls) -> Self:
        """8 frames of 4x4 tokens."""
        return cls.model_validate({"width": 32, "patch": 4, "heads": 4, "input": {"size": 32, "multiple": 8}})

    @model_validator(mode="after")
    def _parts_fit(self) -> EveSpec:
        check_heads("heads", self.heads, self.width)
        self.downsampler.check_width(self.width)
        check_geometry(self.input, self.patch, self.downsampler)
        check_sampling(self.input)
        return self

    def blocks(self) -> FrameBlocks:
        """The order of the tokens."""
        from vlmkit.nn import FrameBlocks

        return FrameBlocks(self.patch, self.input.multiple, self.downsampler, True, self.row_tokens)

    def layout(self, video: VideoShape) -> TokenLayout:
        """The positions of the tokens of one video."""
        return self.blocks().layout(video)

    def build(self, llm_width: int) -> Aligner:
        """Build the module. Raise a ValueError where projector `identity` does not fit the LLM's width."""
        from vlmkit_eve._module import Eve

        return Eve(self, llm_width)
