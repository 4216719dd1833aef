"""Aligners of Q-Formers for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from vlmkit.api import AlignerSpec


def count(module: nn.Module) -> int:
    """The number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def built(spec: AlignerSpec) -> Any:
    """An aligner in eval mode for a language model of 48 channels, without any zeros among its weights."""
    torch.manual_seed(0)
    aligner = spec.build(48).eval()
    with torch.no_grad():
        for parameter in aligner.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return aligner
