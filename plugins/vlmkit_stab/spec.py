"""Options of the aligner `stab` and of the downsampler `lsd`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api import AlignerSpec, DownsamplerSpec, Projector, Slot, TokenLayout, VideoShape, default_component
from vlmkit.api.bounds import Channels, Frames, Heads, Side
from vlmkit.nn.geometry import check_geometry, check_heads, check_sampling, tile_grid

if TYPE_CHECKING:
    from vlmkit.api import Aligner, Downsampler
    from vlmkit.nn import FrameBlocks

__all__ = ["LsdSpec", "StabSpec"]


class LsdSpec(DownsamplerSpec):
    """Local spatial downsampling of Video-Panda (arXiv:2412.18609) and EVE (arXiv:2406.11832): the mean of each 2x2
    window of patches reads the four patches by attention."""

    type: Literal["lsd"] = "lsd"
    heads: Heads = 8
    """Attention heads."""

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Half as many rows and columns. Raise a ValueError where their number is odd."""
        return tile_grid("lsd: windows", 2, height, width, "patches")

    def check_width(self, width: int) -> None:
        """Raise a ValueError where the heads do not divide the width."""
        check_heads("lsd: heads", self.heads, width)

    def build(self, width: int) -> Downsampler:
        """The module, freshly initialized: linear layers N(0, 0.02), bias 0."""
        from vlmkit_stab._module import Lsd

        return Lsd(self, width)


class StabSpec(AlignerSpec):
    """Spatio-Temporal Alignment Block of Video-Panda (arXiv:2412.18609, code jh-yi/Video-Panda).

    Patches -> LSTE -> GSTRA per chunk of frames; per frame: the picture without its padding -> downsampler -> FSRA; the
    CLS token of a frame is FSRA's and GSTRA's token, weighted per channel, through a head. A frame gives
    [CLS; each row of tokens, then the row token]. The defaults are the published ones.

    The paper's "without …" is not in its released code. Here each switch takes out the module, its parameters, and what
    has nothing left to act on:

    - `row_tokens: false`: a frame is [CLS; tokens]. Also where the downsampler keeps no rows.
    - `fsra: false`: CLS is the head of GSTRA's token; `balance` and FSRA's query go too.
    - `gstra: false`: CLS is the head of FSRA's token; `balance` goes too. With `cls_head: false` it is FSRA's token.
    - both false: no CLS token, and no head.
    - `lste: false`: GSTRA and the downsampler read the patch features; no dense connection, which would double them.
    - `dense: false`: the downsampler reads what LSTE gives, without the patch features added once more.
    - `downsampler_position: before-lste`: the whole canvas is downsampled first, LSTE and GSTRA work on its tokens, and
      the dense connection adds the downsampler's output; the padding is cut off afterwards.

    A video of a single frame is an image: no LSTE, no GSTRA, no dense connection; CLS is FSRA's token without head.
    """

    type: Literal["stab"] = "stab"
    width: Channels = 1024
    """Channels of the patch features."""
    patch: Side = 14
    """Side of a patch, pixels."""
    heads: Heads = 8
    """Attention heads of FSRA."""
    gstra_heads: Heads | None = None
    """Attention heads of GSTRA. None: as published, 11 for width 1408 and `heads` for every other."""
    mlp_ratio: Annotated[int, Field(gt=0, le=64)] = 4
    """Width of GSTRA's MLP in multiples of `width`."""
    dropout: float = Field(default=0.5, ge=0, lt=1)
    """Dropout in GSTRA's MLP and in the CLS head, in training."""
    row_tokens: bool = True
    """A learned token ends each row of tokens."""
    fsra: bool = True
    """Frame-wise spatial relationship aggregation: one token per frame out of the frame's tokens."""
    gstra: bool = True
    """Global spatio-temporal relationship aggregation: one token per chunk of frames out of all its patches."""
    cls_head: bool = True
    """LayerNorm, dropout and linear layer on the CLS token. Default false where there is none (no fsra, no gstra)."""
    lste: bool = True
    """Local spatio-temporal encoding of the patch features."""
    lmhra: bool = True
    """Its first half, a bottleneck over neighboring frames. Default false without lste."""
    dpe: bool = True
    """Its second half, a depthwise 3x3x3 convolution. Default false without lste."""
    dense: bool = True
    """Add the patch features to what LSTE makes of them. Default false without lste."""
    chunk_frames: Frames | Literal["all"] = 4
    """Frames that LSTE and GSTRA see together; `all`: the whole video is one chunk."""
    downsampler: Slot[DownsamplerSpec] = default_component("lsd")
    """Makes fewer tokens of the patches."""
    downsampler_position: Literal["before-lste", "after-lste"] = "after-lste"
    """LSTE and GSTRA see tokens (`before-lste`) or patches."""
    projector: Projector = "mlp2x_gelu"
    """From `width` to the LLM's width."""

    @classmethod
    def tiny(cls) -> Self:
        """8 frames of 4x4 tokens."""
        return cls.model_validate({"width": 32, "patch": 4, "heads": 4, "input": {"size": 32, "multiple": 8}})

    @model_validator(mode="before")
    @classmethod
    def _switch_off_dependants(cls, data: Any) -> Any:
        """Switch off parts that have nothing left to act on; where one is asked for, it is refused below."""
        if not isinstance(data, Mapping):
            return data
        off = {"lmhra": False, "dpe": False, "dense": False} if data.get("lste") is False else {}
        if data.get("fsra") is False and data.get("gstra") is False:
            off["cls_head"] = False
        return off | dict(data)

    @model_validator(mode="after")
    def _switches_make_sense(self) -> StabSpec:
        if not self.lste and (self.lmhra or self.dpe):
            raise ValueError("lmhra and dpe are the two halves of lste: with lste false both have to be false")
        if self.lste and not (self.lmhra or self.dpe):
            raise ValueError("lste without lmhra and dpe does nothing; set lste to false")
        if self.dense and not self.lste:
            raise ValueError("dense adds the patch features to what lste makes of them; without lste it doubles them")
        if self.cls_head and not (self.fsra or self.gstra):
            raise ValueError("cls_head works on the CLS token, which is made by fsra or gstra; both are false")
        return self

    @model_validator(mode="after")
    def _parts_fit(self) -> StabSpec:
        if self.fsra:
            check_heads("heads", self.heads, self.width)
        if self.gstra:
            check_heads("gstra_heads", self.query_heads, self.width)
        self.downsampler.check_width(self.width)
        whole = self.downsampler_position == "before-lste"
        check_geometry(self.input, self.patch, self.downsampler, whole_canvas=whole)
        check_sampling(self.input)
        frames = self.input.frames
        if frames == 1 and (self.lste or self.gstra or self.cls_head):
            raise ValueError(
                "input.frames is 1, and a single frame passes neither lste nor gstra nor cls_head; "
                "set all three to false, or use the aligner eve"
            )
        self.frames_per_chunk(frames)
        return self

    @property
    def query_heads(self) -> int:
        """Attention heads of GSTRA."""
        return self.gstra_heads or (11 if self.width == 1408 else self.heads)

    def frames_per_chunk(self, frames: int) -> int:
        """Frames of a chunk in a video of that many. Raise a ValueError where chunks do not divide it.

        Without lste and gstra nothing looks across frames, and the video is one chunk.
        """
        chunk = frames if self.chunk_frames == "all" or not (self.lste or self.gstra) else self.chunk_frames
        if frames % chunk:
            raise ValueError(f"chunk_frames is {chunk}, which does not divide {frames} frames; take a divisor, or all")
        return chunk

    def blocks(self, frames: int) -> FrameBlocks:
        """The order of the tokens of a video of that many frames."""
        from vlmkit.nn import FrameBlocks

        if frames > 1:
            self.frames_per_chunk(frames)
        cls = self.fsra or (self.gstra and frames > 1)
        return FrameBlocks(self.patch, self.input.multiple, self.downsampler, cls, self.row_tokens)

    def layout(self, video: VideoShape) -> TokenLayout:
        """The positions of the tokens of one video."""
        return self.blocks(video.frames).layout(video)

    def build(self, llm_width: int) -> Aligner:
        """Build the module. Raise a ValueError where projector `identity` does not fit the LLM's width."""
        from vlmkit_stab._module import Stab

        return Stab(self, llm_width)
