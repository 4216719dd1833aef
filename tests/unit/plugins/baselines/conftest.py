"""Encoders small enough to follow by hand, and videos of several lengths."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import Encoder, EncoderSpec, VideoBatch

PATCH = 4


class TinyEncoderSpec(EncoderSpec):
    """Patch embedding and CLS; with `temporal`, each token also sees the mean of its place over time."""

    type: Literal["tiny"] = "tiny"
    temporal: bool = False
    width: int = 6
    patch: int = PATCH

    def build(self) -> Encoder:
        return TinyEncoder(self)


class TinyEncoder(Encoder):
    def __init__(self, spec: TinyEncoderSpec) -> None:
        super().__init__()
        self.temporal = spec.temporal
        self.embed = nn.Conv2d(3, spec.width, PATCH, PATCH)
        self.cls = nn.Parameter(torch.randn(spec.width))
        self.loaded = 0

    def load_pretrained(self) -> None:
        self.loaded += 1

    def forward(self, pixels: Tensor) -> Tensor:
        patches = self.embed(pixels.flatten(0, 1)).flatten(2).mT.tanh().unflatten(0, pixels.shape[:2])
        tokens = torch.cat([self.cls + patches.mean(2, keepdim=True), patches], 2)
        return tokens + tokens.mean(1, keepdim=True) if self.temporal else tokens


@pytest.fixture
def tiny() -> Callable[..., EncoderSpec]:
    return TinyEncoderSpec


@pytest.fixture
def videos() -> Callable[..., VideoBatch]:
    """`videos([3, 5], slots=6, size=16)`: two videos of 3 and 5 frames; padding frames hold noise."""

    def make(present: list[int], slots: int | None = None, size: int = 16, seed: int = 0) -> VideoBatch:
        slots = slots or max(present)
        generator = torch.Generator().manual_seed(seed)
        pixels = torch.randn(len(present), slots, 3, size, size, generator=generator, dtype=torch.float64)
        content = torch.tensor([[0, size, 0, size]]).expand(len(present), 4)
        return VideoBatch(pixels, content, torch.arange(slots) < torch.tensor(present)[:, None])

    return make
