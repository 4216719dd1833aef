"""The kind `aligner`: video in, tokens of the LLM's width out."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Literal

from vlmkit.api.video import TokenLayout, VideoComponentSpec, VideoShape

if TYPE_CHECKING:
    from vlmkit.api.modules import Aligner

__all__ = ["AlignerSpec", "Projector"]

Projector = Literal["mlp2x_gelu", "linear", "identity"]
"""How tokens get the LLM's width: two layers with GELU between (LLaVA-1.5), one linear layer, or not at all."""


class AlignerSpec(VideoComponentSpec):
    """Options of an aligner."""

    kind: ClassVar[str] = "aligner"

    @abstractmethod
    def layout(self, video: VideoShape) -> TokenLayout:
        """Where the tokens of one video stand. Pure arithmetic; a ValueError where the video does not fit.

        A batch is as long as its longest video. So where videos differ in length (sampling `one-fps`), neither the
        number of tokens nor their values may depend on `video.frames`, only on `video.present`.
        """
        raise NotImplementedError

    @abstractmethod
    def build(self, llm_width: int) -> Aligner:
        """The module, freshly initialised, for an LLM with embeddings of `llm_width` channels. Imports torch here."""
        raise NotImplementedError
