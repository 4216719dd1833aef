"""Checks of freshly built modules: every weight is initialized, and as its paper says."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

__all__ = ["Initialization", "Normal", "Uniform", "check_initialization", "check_initialized"]


@dataclass(frozen=True)
class Normal:
    """Drawn from a normal distribution around 0."""

    std: float


@dataclass(frozen=True)
class Uniform:
    """Drawn evenly from -bound to bound."""

    bound: float


Initialization: TypeAlias = float | Normal | Uniform | Tensor | Literal["torch"]
"""A constant, a distribution, these values, or what the constructor of the `torch.nn` module that holds it does."""
_FAR = 5.0
"""Standard errors: a right draw is that far from the mean of its distribution once in two million."""


def check_initialization(module: nn.Module, expected: Mapping[str, Initialization]) -> None:
    """Raise an AssertionError where a parameter does not start as a paper says.

    Args:
        module: freshly built; of drawn weights the mean and the standard deviation are compared.
        expected: by patterns of names (`*.k_proj.weight`, as of the shell), of which the first that fits counts.
    """
    unused, faults = dict.fromkeys(expected), []
    for name, parameter in module.named_parameters():
        pattern = next((pattern for pattern in expected if fnmatchcase(name, pattern)), None)
        if pattern is None:
            faults.append(f"{name}: nothing is expected of it")
            continue
        unused.pop(pattern, None)
        start = expected[pattern]
        if start == "torch":
            start = _of_torch(module.get_submodule(name.rpartition(".")[0]), name)
        if fault := _fault(parameter.detach().double(), start):
            faults.append(f"{name}: {fault}")
    faults += [f"{pattern}: no parameter has such a name" for pattern in unused]
    assert not faults, "; ".join(faults)


def check_initialized(build: Callable[[], nn.Module]) -> None:
    """Raise an AssertionError where what is built has weights or buffers as the memory happened to be."""
    before, warns = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)  # torch then fills new memory with NaN
    try:
        state = build().state_dict()
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warns)
    left = [name for name, value in state.items() if value.is_floating_point() and value.isnan().any()]
    assert not left, f"never initialized: {left}"


def _fault(found: Tensor, start: float | Normal | Uniform | Tensor) -> str:
    """Return how values differ from what is expected; nothing where they do not."""
    if isinstance(start, Tensor):
        if found.shape != start.shape:
            return f"expected the shape {tuple(start.shape)}, found {tuple(found.shape)}"
        far = (found - start.detach()).abs().max().item()
        return f"differs by up to {far:.3g} from what it starts from" if far else ""
    if isinstance(start, int | float):
        return "" if (found == start).all() else f"expected {start:g} everywhere, found {_shown(found)}"
    std = start.std if isinstance(start, Normal) else start.bound / math.sqrt(3)
    error = std / math.sqrt(found.numel())
    wrong = abs(found.mean().item()) > _FAR * error or abs(found.square().mean().sqrt().item() - std) > _FAR * error
    beyond = isinstance(start, Uniform) and found.abs().max().item() > start.bound * (1 + 1e-6)
    return f"expected {start}, found {_shown(found)}" if wrong or beyond else ""


def _shown(found: Tensor) -> str:
    return (
        f"mean {found.mean().item():.3g}, std {found.std(correction=0).item():.3g}, most {found.abs().max().item():.3g}"
    )


def _of_torch(owner: nn.Module, name: str) -> float | Normal | Uniform:
    if isinstance(owner, nn.Embedding):
        return Normal(1.0)
    if isinstance(owner, nn.LayerNorm | nn.GroupNorm | nn.RMSNorm):
        return float(name.endswith("weight"))
    assert isinstance(owner, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d), (
        f"{name}: torch's own start of a {type(owner).__name__} is not known here; say what is expected"
    )
    return Uniform(1 / math.sqrt(owner.weight[0].numel()))
