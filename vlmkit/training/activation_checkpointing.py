"""Activation checkpointing of the LLM: activations are recomputed in the backward pass instead of kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

__all__ = ["checkpointed_layers", "set_activation_checkpointing"]


def set_activation_checkpointing(backbone: Any, enabled: bool, layers: nn.Module | None = None) -> None:
    """Switch checkpointing on or off, after parameters were frozen. Frozen layers compute the same as without it.

    `layers` are those that the model has besides the LLM's, if any: its component of the kind `layers`.
    """
    # Newer transformers call it by another name.
    name = "activation_checkpointing" if hasattr(backbone, "is_activation_checkpointing") else "gradient_checkpointing"
    if enabled:
        getattr(backbone, f"{name}_enable")(**{f"{name}_kwargs": {"use_reentrant": False}})
    elif getattr(backbone, f"is_{name}"):
        getattr(backbone, f"{name}_disable")()
    own = next(checkpointed_layers(backbone), None)
    for layer in layers.modules() if layers is not None else ():
        if isinstance(layer, GradientCheckpointingLayer):
            layer.gradient_checkpointing = own is not None
            layer._gradient_checkpointing_func = own._gradient_checkpointing_func if own is not None else None
    for layer in checkpointed_layers(backbone, layers):
        if not any(parameter.requires_grad for parameter in layer.parameters()):
            layer._gradient_checkpointing_func = _in_eval_mode(layer, layer._gradient_checkpointing_func)


def checkpointed_layers(backbone: nn.Module, layers: nn.Module | None = None) -> Iterator[Any]:
    """Yield the layers that recompute. transformers lets them do so in training mode only, also where the LLM is frozen
    but gradients pass through it."""
    modules = chain(backbone.modules(), layers.modules() if layers is not None else ())
    return (module for module in modules if getattr(module, "gradient_checkpointing", False))


def _in_eval_mode(layer: nn.Module, checkpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Run a frozen layer's forward in evaluation mode: its training mode is for the decision to recompute alone, and
    some layers apply dropout by it in their own forward."""

    def checkpoint_frozen(forward: Callable[..., Any], *args: Any) -> Any:
        def eval_forward(*inputs: Any) -> Any:
            layer.training = False
            try:
                return forward(*inputs)
            finally:
                layer.training = True

        return checkpoint(eval_forward, *args)

    return checkpoint_frozen
