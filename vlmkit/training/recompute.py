"""Recomputing the LLM's activations in the backward pass instead of keeping them (gradient checkpointing)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

__all__ = ["recompute_activations", "recomputed"]


def recompute_activations(backbone: Any, on: bool) -> None:
    """Switch it on or off, after parameters were frozen. Frozen layers do the same as without it."""
    # Newer transformers call it by another name.
    name = "activation_checkpointing" if hasattr(backbone, "is_activation_checkpointing") else "gradient_checkpointing"
    if on:
        getattr(backbone, f"{name}_enable")(**{f"{name}_kwargs": {"use_reentrant": False}})
    elif getattr(backbone, f"is_{name}"):
        getattr(backbone, f"{name}_disable")()
    for layer in recomputed(backbone):
        if not any(parameter.requires_grad for parameter in layer.parameters()):
            layer._gradient_checkpointing_func = _in_evaluation(layer, layer._gradient_checkpointing_func)


def recomputed(backbone: nn.Module) -> Iterator[Any]:
    """The layers that recompute. transformers lets them do so only in training mode, also where the LLM is frozen but
    gradients pass through it."""
    return (layer for layer in backbone.modules() if getattr(layer, "gradient_checkpointing", False))


def _in_evaluation(layer: nn.Module, recompute: Callable[..., Any]) -> Callable[..., Any]:
    """Training mode is for the decision to recompute alone: some layers apply dropout by it in their own forward."""

    def recompute_frozen(forward: Callable[..., Any], *args: Any) -> Any:
        def evaluated(*inputs: Any) -> Any:
            layer.training = False
            try:
                return forward(*inputs)
            finally:
                layer.training = True

        return recompute(evaluated, *args)

    return recompute_frozen
