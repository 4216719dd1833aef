"""Base classes of the components that hold weights. Shape letters as in `vlmkit.api.tensors`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vlmkit.api.contract import Promise, Promises, check_none, enforce
from vlmkit.api.tensor_checks import (
    check_attention,
    check_blocks,
    check_encoded,
    check_features,
    check_reduced,
    check_tokens,
)
from vlmkit.api.tensors import TokenContext, VideoBatch, VisualTokens
from vlmkit.guard import component_error

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["Aligner", "Downsampler", "Encoder", "Layers", "Teacher"]


class _ComponentModule(nn.Module, ABC):
    _promises: ClassVar[Promises] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        enforce(cls, {"load_pretrained": Promise(lambda *_: None), **cls._promises}, torch.compiler.is_compiling)

    def load_pretrained(self) -> None:
        """Load the outside weights that the spec names (`path`). The constructor only initializes.

        Called once when a model is composed afresh; not when a checkpoint of the whole model is loaded, nor on the meta
        device. Without a path in the spec there is nothing to do.
        """


class Aligner(_ComponentModule):
    """Everything between pixels and the LLM, projector included."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_tokens)}
    _llm_width: int | None = None
    """D, where the spec has built it."""

    @abstractmethod
    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `AlignerSpec.layout` says, for each video the same whatever else is in the batch (eval mode).

        No Python loop over frames or videos; videos that share a content box are computed together.

        Where the spec has a `text_input`, it is `forward(video, text: TextBatch | None = None)`, and is called with Q
        texts: there is then one block of tokens for each text, (Q, N, D), which no other text changes, and the pixels
        of each video are looked at once.
        """


class Downsampler(_ComponentModule):
    """Fewer tokens per frame."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_reduced)}

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) frames of one size -> (F, h, w, C), with (h, w) as `DownsamplerSpec.grid` says."""


class Encoder(_ComponentModule):
    """A pretrained vision tower, for encoder-based aligners and for teachers."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_encoded), "block_outputs": Promise(check_blocks)}

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalized -> (B, T, P + h*w, C): `EncoderSpec.prefix_tokens`, then the patches."""

    def block_outputs(self, pixels: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """The tokens after each of the blocks `indices`, before any final norm, in the shape that `forward` gives.

        Blocks count from 0 to `EncoderSpec.num_blocks` - 1; those behind the last index are not computed.
        """
        raise component_error(self, f"{type(self).__name__} gives no outputs of its blocks")


class Layers(_ComponentModule):
    """Parameters inside the language model (the LLM): whoever composes it calls `install` once, before weights load."""

    _promises: ClassVar[Promises] = {
        "install": Promise(check_none),
        "attention": Promise(check_attention),
    }
    own_positions: ClassVar[bool] = False
    """True where positions or mask depend on which frame a token is of, so that `attention` gives other ones than it
    is given."""

    @abstractmethod
    def install(self, backbone: PreTrainedModel) -> None:
        """Make the LLM compute with these parameters. They stay here: it gets no parameters and no submodules.

        Its decoder layers and attentions then find the `TokenContext` among their keyword arguments as
        `token_context`; without one they compute as for text alone.
        """

    def attention(self, context: TokenContext) -> tuple[Tensor | None, Tensor | None]:
        """Return attention mask and position ids (B, S) of a pass, by default those of the context.

        The mask is (B, past + S) as in the context, or (B, 1, S, past + S) bool, True where a position is seen.
        """
        return context.attention_mask, context.position_ids


def _freeze(teacher: Teacher, answer: object) -> None:
    """New weights may come with gradients."""
    teacher.freeze()


class Teacher(_ComponentModule):
    """Target features for distillation. Frozen, whatever is done to what holds it: never in training mode, never a
    gradient, never in a checkpoint."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_features), "load_pretrained": Promise(_freeze)}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "forward" in cls.__dict__:
            cls.forward = torch.no_grad()(cls.forward)  # type: ignore[method-assign]

    @abstractmethod
    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C) features of the whole canvas. No gradient is recorded here."""

    def freeze(self) -> None:
        """Called when all submodules are there."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stay in eval mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Stay without gradients."""
        return super().requires_grad_(False)
