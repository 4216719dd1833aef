"""Base classes of the components that hold weights. Shape letters as in `vlmkit.api.tensors`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from vlmkit.api.tensors import VideoBatch, VisualTokens

__all__ = ["Aligner", "Downsampler", "Encoder", "Teacher"]


class _Component(nn.Module, ABC):
    def load_pretrained(self) -> None:
        """Load the outside weights that the spec names (`path`). The constructor only initialises.

        Called once when a model is composed afresh; not when a checkpoint of the whole model is loaded, nor on the meta
        device. Without a path in the spec there is nothing to do.
        """


class Aligner(_Component):
    """Everything between pixels and the LLM, projector included."""

    @abstractmethod
    def forward(self, video: VideoBatch) -> VisualTokens:
        """Tokens as `AlignerSpec.layout` says, for each video the same whatever else is in the batch (eval mode).

        No Python loop over frames or videos; videos that share a content box are computed together.
        """


class Downsampler(_Component):
    """Fewer tokens per frame."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """(F, H, W, C) frames of one size -> (F, h, w, C), with (h, w) as `DownsamplerSpec.grid` says."""


class Encoder(_Component):
    """A pretrained vision tower, for encoder-based aligners and for teachers."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """(B, T, 3, H, W) normalised -> (B, T, P + h*w, C): `EncoderSpec.prefix_tokens`, then the patches."""


class Teacher(_Component):
    """Target features for distillation. Frozen: never in training mode, never a gradient, never in a checkpoint."""

    @abstractmethod
    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C) features of the whole canvas, without gradient."""
