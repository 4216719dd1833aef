"""Base classes of the components that hold weights. Shape letters as in `vlmkit.api.tensors`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from vlmkit.api.contract import Promise, Promises, watch
from vlmkit.api.shapes import check_encoded, check_features, check_reduced, check_tokens
from vlmkit.api.tensors import VideoBatch, VisualTokens

__all__ = ["Aligner", "Downsampler", "Encoder", "Teacher"]


def _anything(component: object, answer: object) -> None:
    """Nobody looks at it."""


class _Component(nn.Module, ABC):
    _promises: ClassVar[Promises] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        watch(cls, {"load_pretrained": Promise(_anything), **cls._promises}, torch.compiler.is_compiling)

    def load_pretrained(self) -> None:
        """Load the outside weights that the spec names (`path`). The constructor only initialises.

        Called once when a model is composed afresh; not when a checkpoint of the whole model is loaded, nor on the meta
        device. Without a path in the spec there is nothing to do.
        """


class Aligner(_Component):
    """Everything between pixels and the LLM, projector included."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_tokens)}
    _llm_width: int | None = None
    """D, where the spec has built it."""

    @abstractmethod
    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `AlignerSpec.layout` says, for each video the same whatever else is in the batch (eval mode).

        No Python loop over frames or videos; videos that share a content box are computed together.
        """


class Downsampler(_Component):
    """Fewer tokens per frame."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_reduced)}

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) frames of one size -> (F, h, w, C), with (h, w) as `DownsamplerSpec.grid` says."""


class Encoder(_Component):
    """A pretrained vision tower, for encoder-based aligners and for teachers."""

    _promises: ClassVar[Promises] = {"forward": Promise(check_encoded)}

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalised -> (B, T, P + h*w, C): `EncoderSpec.prefix_tokens`, then the patches."""


def _freeze(teacher: Teacher, answer: object) -> None:
    """New weights may come with gradients."""
    teacher.freeze()


class Teacher(_Component):
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
