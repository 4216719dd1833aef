"""What checks of every kind expect, with an AssertionError that says what was found instead."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["same_bits"]


def same_bits(found: Tensor, expected: Tensor, what: str) -> None:
    """Nothing in which the two tensors differ; `what` says whose they are."""
    shapes = tuple(found.shape), tuple(expected.shape)
    assert shapes[0] == shapes[1], f"{what}: the shapes {shapes[0]} and {shapes[1]} differ"
    assert torch.equal(found, expected), f"{what}: differs by {(found - expected).abs().max().item()}"
