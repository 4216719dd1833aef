"""AdamW with a learning rate per part, and how the rates move."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vlmkit.spec.experiment import StageSpec

__all__ = ["factor", "make_optimizer", "make_scheduler"]


def make_optimizer(stage: StageSpec, trained: Mapping[str, list[nn.Parameter]]) -> AdamW:
    """AdamW (betas 0.9 and 0.999, epsilon 1e-8) over the parameters of each pattern of `stage.train`.

    Weight decay falls on matrices only: parameters with one dimension (norms, biases) are spared. Every group carries
    the `pattern` that it comes from. Parameters are updated together (`foreach`), where the device allows `fused`.
    """
    groups = []
    for pattern, parameters in trained.items():
        for decays in (True, False):
            members = [p for p in parameters if (p.ndim > 1) == decays]
            if members:
                decay = stage.weight_decay if decays else 0.0
                groups.append(
                    {"params": members, "lr": stage.train[pattern], "weight_decay": decay, "pattern": pattern}
                )
    fused = all(p.device.type == "cuda" for parameters in trained.values() for p in parameters)
    return AdamW(groups, betas=(0.9, 0.999), eps=1e-8, **({"fused": True} if fused else {"foreach": True}))


def factor(stage: StageSpec, steps: int, step: int) -> float:
    """What the learning rates are multiplied with in step `step` (from 0) of `steps`.

    Linear from 0 over the warm-up, then to 0 by half a cosine (`cosine`) or a line (`linear`), or not at all.
    """
    warmup = math.ceil(stage.warmup * steps)
    if step < warmup:
        return step / warmup
    if stage.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress)) if stage.schedule == "cosine" else 1 - progress


def make_scheduler(stage: StageSpec, steps: int, optimizer: Optimizer) -> LambdaLR:
    """The schedule of all groups."""
    with torch.no_grad():
        return LambdaLR(optimizer, lambda step: factor(stage, steps, step))
