"""What all teachers share: they are frozen."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

import torch
from torch import Tensor

from vlmkit.api import Teacher, VideoBatch

__all__ = ["FrozenTeacher"]


class FrozenTeacher(Teacher):
    """A teacher that stays in eval mode and out of every gradient, whatever is done to the model that holds it."""

    def freeze(self) -> None:
        """To be called when all submodules are there."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Self:
        """Stays in eval mode."""
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Stays without gradients."""
        return super().requires_grad_(False)

    @torch.no_grad()
    def forward(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C) features of the whole canvas, without gradient."""
        return self.features(video)

    @abstractmethod
    def features(self, video: VideoBatch) -> Tensor:
        """(B, T, h, w, C); called where no gradient is recorded."""
