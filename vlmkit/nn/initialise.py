"""Initialisation that several aligners share."""

from __future__ import annotations

from torch import nn

__all__ = ["initialise_linears"]


def initialise_linears(module: nn.Module, std: float = 0.02) -> None:
    """Every `nn.Linear` below `module`: weight N(0, std), bias 0; as `LlamaPreTrainedModel` does it."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
