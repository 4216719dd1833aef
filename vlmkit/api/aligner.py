"""The kind `aligner`: video in, tokens of the LLM's width out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import field_validator

from vlmkit.api.contract import ContractError, Promise, Promises, builds, check_int, check_text, check_type
from vlmkit.api.text import TextInput
from vlmkit.api.video import TokenLayout, VideoComponentSpec, VideoInput, VideoShape
from vlmkit.errors import shown

if TYPE_CHECKING:
    from vlmkit.api.modules import Aligner

__all__ = ["AlignerSpec", "Projector"]

_VIDEO = "<video>"

Projector = Literal["mlp2x_gelu", "linear", "identity"]
"""How tokens get the LLM's width: two layers with GELU between (LLaVA-1.5), one linear layer, or not at all."""


def _layout(spec: object, answer: object, video: VideoShape) -> TokenLayout:
    import numpy as np

    layout: TokenLayout = check_type(answer, TokenLayout)
    least = 0 if isinstance(spec, AlignerSpec) and spec.num_prompts else 1
    check_int(spec, layout.tokens, least=least, what="tokens ")
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
    if layout.parts is not None:
        parts = check_type(layout.parts, np.ndarray, "numpy.ndarray as `parts`")
        if parts.dtype.kind != "i" or parts.ndim != 1 or (parts < 1).any() or parts.sum() != layout.tokens:
            found = f"`parts` {parts.dtype} of the shape {parts.shape} with the sum {parts.sum()}"
            raise ContractError(f"gives {found}, expected (P,) int64, positive, with the sum {layout.tokens}")
    return layout


def _wrapped(spec: object, answer: object, times: Sequence[float]) -> str:
    text = check_text(answer, "something that is")
    if _VIDEO not in text:
        raise ContractError(f"gives {shown(text)}, expected text with {_VIDEO} where tokens go")
    return text


def _remember_width(spec: object, aligner: Aligner, llm_width: int) -> Aligner:
    aligner._llm_width = llm_width
    return aligner


class AlignerSpec(VideoComponentSpec):
    """Options of an aligner. One that reads text, too, has an option `text` of the type `TextInput`."""

    kind: ClassVar[str] = "aligner"
    special_tokens: ClassVar[tuple[str, ...]] = ()
    """Words of `wrap` that are one token each. A tokenizer that lacks one gets it, and the language model's table a row
    for it where it has none to spare."""
    input: VideoInput = VideoInput()
    """The frames it wants, and the canvas that they are fitted on."""

    @property
    def text_input(self) -> TextInput | None:
        """The text that it reads besides the video: its option `text`, a `TextInput`, where it has one; else None."""
        found = getattr(self, "text", None)
        return found if isinstance(found, TextInput) else None

    @property
    def num_prompts(self) -> int:
        """P: how many prompts there are of each video, `VisualTokens.prompts`, which layers inside the language model
        read beside its sequence (`LayersSpec.num_prompts`). 0: there are none. With prompts, `layout` may have 0
        tokens."""
        return 0

    _promises: ClassVar[Promises] = {
        "num_prompts": Promise(partial(check_int, least=0)),
        "layout": Promise(_layout, refuses=True),
        "wrap": Promise(_wrapped),
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

    def wrap(self, times: Sequence[float]) -> str:
        """The text that the language model reads in place of a `<video>` of the user: by default `<video>` alone.

        It has as many `<video>` as the video's layout has parts; the tokens of each part stand in the place of one.

        Args:
            times: when each frame that holds a picture is shown, seconds from the start of the file. NaN where that is
                not known: of pictures, and of frames that came without a file.
        """
        return _VIDEO

    @abstractmethod
    def build(self, llm_width: int) -> Aligner:
        """The module, freshly initialized, for an LLM with embeddings of `llm_width` channels. Imports torch here."""
