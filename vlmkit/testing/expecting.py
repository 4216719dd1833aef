"""What checks of every kind expect, with an AssertionError that says what was found instead."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["of_type", "same_bits"]

T = TypeVar("T")


def of_type(found: object, expected: type[T], where: str) -> T:
    """`found`, which `where` (the name of a method) gives, as the type that it has to be."""
    name = "Tensor" if expected is Tensor else f"vlmkit.api.{expected.__name__}"
    given = "None (is a `return` missing?)" if found is None else f"a {type(found).__name__}"
    assert isinstance(found, expected), f"{where} gives {given}, expected a {name}"
    return found


def same_bits(found: Tensor, expected: Tensor, what: str) -> None:
    """Nothing in which the two tensors differ; `what` says whose they are."""
    shapes = tuple(found.shape), tuple(expected.shape)
    assert shapes[0] == shapes[1], f"{what}: the shapes {shapes[0]} and {shapes[1]} differ"
    assert torch.equal(found, expected), f"{what}: differs by {(found - expected).abs().max().item()}"
