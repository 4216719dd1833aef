"""AdamW with a learning rate per part, and how the rates move."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from vlmkit.spec.experiment import StageSpec

__all__ = ["StageAdamW", "factor", "idle_patterns", "make_optimizer", "make_scheduler"]


class StageAdamW(AdamW):
    """AdamW that leaves out, as long as they are `idle`, the groups of some patterns.

    In one process a part that no sample of a step reaches has no gradient, and AdamW leaves it alone. DeepSpeed fills
    in zeros, by which its momentum would move it on.
    """

    idle: frozenset[str] = frozenset()
    """Patterns of `stage.train`."""

    def step(self, closure: Any = None) -> Any:
        """One step of the groups that are not idle."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if group["pattern"] not in self.idle]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups


def idle_patterns(stage: StageSpec) -> frozenset[str]:
    """The patterns whose parameters have no gradient in a step of samples that have no video.

    None where the language model does not train: such a step then has zeros for all, since there must be something to
    go backward from.
    """
    visual = frozenset(pattern for pattern in stage.train if pattern.split(".")[0] != "backbone")
    return visual if len(visual) < len(stage.train) else frozenset()


def make_optimizer(stage: StageSpec, trained: Mapping[str, list[nn.Parameter]]) -> StageAdamW:
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
    return StageAdamW(groups, betas=(0.9, 0.999), eps=1e-8, **({"fused": True} if fused else {"foreach": True}))


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
