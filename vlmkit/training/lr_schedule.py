"""How the learning rates of a stage move over its steps."""

from __future__ import annotations

import math

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vlmkit.spec.experiment import StageSpec

__all__ = ["lr_factor", "make_lr_scheduler"]


def lr_factor(stage: StageSpec, steps: int, step: int) -> float:
    """Return what the learning rates are multiplied with in step `step` (from 0) of `steps`.

    Linear from 0 over the warm-up, then to 0 by half a cosine (`cosine`) or a line (`linear`), or not at all.
    """
    warmup = math.ceil(stage.warmup * steps)
    if step < warmup:
        return step / warmup
    if stage.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress)) if stage.schedule == "cosine" else 1 - progress


def make_lr_scheduler(stage: StageSpec, steps: int, optimizer: Optimizer) -> LambdaLR:
    """Return the schedule of all parameter groups."""
    with torch.no_grad():
        return LambdaLR(optimizer, lambda step: lr_factor(stage, steps, step))
