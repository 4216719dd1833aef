"""The kinds `aligner`, `downsampler` and `encoder`: from pixels to tokens of the LLM's width."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import field_validator

from vlmkit.api.bounds import Channels, Side
from vlmkit.api.contract import (
    ContractError,
    Promise,
    Promises,
    builds,
    check_int,
    check_none,
    check_optional_int,
    check_sides,
    check_type,
    of_type,
)
from vlmkit.api.spec import ComponentSpec
from vlmkit.api.video import TokenLayout, VideoComponentSpec, VideoInput, VideoShape

if TYPE_CHECKING:
    from vlmkit.api.modules import Aligner, Downsampler, Encoder

__all__ = ["AlignerSpec", "DownsamplerSpec", "EncoderSpec", "Projector"]

Projector = Literal["mlp2x_gelu", "linear", "identity"]
"""How tokens get the LLM's width: two layers with GELU between (LLaVA-1.5), one linear layer, or not at all."""


def _layout(spec: object, answer: object, video: VideoShape) -> TokenLayout:
    import numpy as np

    layout: TokenLayout = check_type(answer, TokenLayout)
    check_int(spec, layout.tokens, what="tokens ")
    for name, axes in (("patches", 3), ("rows", 1)):
        array = check_type(getattr(layout, name), np.ndarray, f"numpy.ndarray as `{name}`")
        if array.dtype.kind != "i" or array.ndim != axes:
            found = f"`{name}` {array.dtype} of the shape {array.shape}"
            raise ContractError(f"gives {found}, expected int64 with {axes} axes")
        if array.size and not (array.min() >= -1 and array.max() < layout.tokens):
            found = f"`{name}` from {array.min()} to {array.max()} for {layout.tokens} tokens"
            raise ContractError(f"gives {found}, expected positions among them, or -1")
    if len(layout.patches) != video.frames:
        raise ContractError(f"gives `patches` of {len(layout.patches)} frames for a video of {video.frames}")
    return layout


def _remember_width(spec: object, aligner: Aligner, llm_width: int) -> Aligner:
    aligner._llm_width = llm_width
    return aligner


class AlignerSpec(VideoComponentSpec):
    """Options of an aligner."""

    kind: ClassVar[str] = "aligner"
    input: VideoInput = VideoInput()
    """The frames it wants, and the canvas that they are fitted on."""
    _promises: ClassVar[Promises] = {
        "layout": Promise(_layout, refuses=True),
        "build": builds("vlmkit.api.modules:Aligner", _remember_width, refuses=True),
    }

    @field_validator("input")
    @classmethod
    def _find_sampler(cls, value: VideoInput) -> VideoInput:
        return value.with_sampler()

    @abstractmethod
    def layout(self, video: VideoShape) -> TokenLayout:
        """Where the tokens of one video stand. Pure arithmetic; a ValueError where the video does not fit.

        A batch is as long as its longest video. So where videos differ in length (samplers that do not pad), neither
        the number of tokens nor their values may depend on `video.frames`, only on `video.num_frames_present`.
        """
        raise NotImplementedError

    @abstractmethod
    def build(self, llm_width: int) -> Aligner:
        """The module, freshly initialized, for an LLM with embeddings of `llm_width` channels. Imports torch here."""
        raise NotImplementedError


class DownsamplerSpec(ComponentSpec):
    """Options of a downsampler: fewer tokens per frame, before the projector."""

    kind: ClassVar[str] = "downsampler"
    _promises: ClassVar[Promises] = {
        "grid": Promise(check_sides, refuses=True),
        "keeps_rows": Promise(of_type(bool)),
        "check_width": Promise(check_none, refuses=True),
        "build": builds("vlmkit.api.modules:Downsampler", refuses=True),
    }
    pixel_stride: ClassVar[int] = 1
    """By how much the aligner averages its pixels down before the patch embedding (2: half resolution)."""

    @abstractmethod
    def grid(self, height: int, width: int) -> tuple[int, int]:
        """The token grid for height x width patches. A ValueError, with both numbers, where they do not fit."""
        raise NotImplementedError

    def keeps_rows(self) -> bool:
        """Return whether tokens stand in rows and columns of the picture, as row tokens and distillation need it."""
        return True

    def check_width(self, width: int) -> None:
        """A ValueError, with both numbers, where features of `width` channels do not fit its options (heads)."""

    @abstractmethod
    def build(self, width: int) -> Downsampler:
        """The module for features of `width` channels (in and out)."""
        raise NotImplementedError


class EncoderSpec(ComponentSpec):
    """Options of an encoder: a pretrained vision tower, for aligners and teachers alike."""

    kind: ClassVar[str] = "encoder"
    _promises: ClassVar[Promises] = {
        "frame_limit": Promise(check_optional_int),
        "check_size": Promise(check_none, refuses=True),
        "build": builds("vlmkit.api.modules:Encoder", refuses=True),
    }
    prefix_tokens: ClassVar[int] = 1
    """P: tokens before the patches (1: CLS)."""

    path: str | None = None
    """Local folder or hub id of the weights; None: random."""

    width: Channels
    """C: channels of its features."""
    patch: Side
    """Side of a patch, pixels."""

    @property
    def frame_limit(self) -> int | None:
        """The most frames that a video may have; None: any number."""
        return None

    def check_size(self, size: int) -> None:
        """A ValueError, with both numbers, where it cannot take frames of size x size pixels (its position table)."""

    @abstractmethod
    def build(self) -> Encoder:
        """The module, freshly initialized; `Encoder.load_pretrained` then takes the weights from `path`."""
        raise NotImplementedError
