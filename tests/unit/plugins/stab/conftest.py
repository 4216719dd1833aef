"""A small stab and videos for it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from vlmkit.api import VideoBatch, VideoInput
from vlmkit_stab.spec import StabSpec

torch.set_num_threads(1)

Boxes = list[tuple[int, int, int, int]]


@pytest.fixture
def tiny() -> Callable[..., StabSpec]:
    """A spec of 64 channels for 8 frames of 48 pixels in patches of 8."""

    def make(**options: object) -> StabSpec:
        small = {"width": 64, "patch": 8, "input": VideoInput(size=48, multiple=16), "projector": "linear"}
        return StabSpec.model_validate(small | options)

    return make


@pytest.fixture
def videos() -> Callable[..., VideoBatch]:
    """Random videos of 48 pixels with the given content boxes and numbers of present frames."""

    def make(boxes: Boxes, present: list[int] | None = None, frames: int = 8, size: int = 48) -> VideoBatch:
        pixels = torch.randn(len(boxes), frames, 3, size, size, generator=torch.Generator().manual_seed(1))
        there = torch.tensor(present or [frames] * len(boxes))
        return VideoBatch(pixels, torch.tensor(boxes), torch.arange(frames) < there[:, None])

    return make


@pytest.fixture
def awake() -> Callable[[nn.Module], nn.Module]:
    """Weights that make every part count: what starts at zero is drawn too. In eval mode."""

    def wake(module: nn.Module) -> nn.Module:
        generator = torch.Generator().manual_seed(0)
        for parameter in module.parameters():
            with torch.no_grad():
                parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        return module.eval()

    return wake
