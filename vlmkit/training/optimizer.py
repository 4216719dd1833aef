"""AdamW with a learning rate for each pattern of `stage.train`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.optim import AdamW

from vlmkit.spec.experiment import StageSpec, part_of

__all__ = ["StageAdamW", "idle_patterns", "make_optimizer"]


class StageAdamW(AdamW):
    """AdamW that leaves out, as long as they are `idle`, the groups of some patterns.

    In one process a part that no sample of a step reaches has no gradient, and AdamW leaves it alone. DeepSpeed fills
    in zeros, by which its momentum would move it on.
    """

    idle: frozenset[str] = frozenset()
    """Patterns of `stage.train`."""

    def step(self, closure: Any = None) -> Any:
        """Update the groups that are not idle."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if group["pattern"] not in self.idle]
        try:
            return super().step(closure)
        finally:
            self.param_groups = groups


def idle_patterns(stage: StageSpec) -> frozenset[str]:
    """Return the patterns whose parameters have no gradient in a step of samples that have no video.

    None where the language model does not train: such a step then has zeros for all, since there must be something to
    go backward from.
    """
    visual = frozenset(pattern for pattern in stage.train if part_of(pattern) != "backbone")
    return visual if len(visual) < len(stage.train) else frozenset()


def make_optimizer(stage: StageSpec, trained: Mapping[str, list[nn.Parameter]]) -> StageAdamW:
    """Return AdamW (betas 0.9 and 0.999, epsilon 1e-8) over the parameters of each pattern of `stage.train`.

    Weight decay falls on matrices only: parameters with one dimension (norms, biases) are spared. Every group carries
    the `pattern` that it comes from. Parameters are updated together (`foreach`), where the device allows `fused`.
    """
    groups = [
        {"params": members, "lr": stage.train[pattern], "weight_decay": decay, "pattern": pattern}
        for pattern, parameters in trained.items()
        for decay, decays in ((stage.weight_decay, True), (0.0, False))
        if (members := [p for p in parameters if (p.ndim > 1) == decays])
    ]
    fused = all(p.device.type == "cuda" for parameters in trained.values() for p in parameters)
    return StageAdamW(groups, betas=(0.9, 0.999), eps=1e-8, **({"fused": True} if fused else {"foreach": True}))
