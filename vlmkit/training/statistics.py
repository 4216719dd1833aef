"""Running statistics, as batch normalisation keeps them, over the samples of all processes.

Each process sees its own samples only. Unless they told each other, every process would have its own statistics, and
those of the first would be saved as if there had been no other samples.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["RunningStatistics", "share_buffers"]


class _Norm(NamedTuple):
    """What is known of a module that keeps statistics, whichever class it is of."""

    mean: Tensor
    var: Tensor
    batches: Tensor
    """Batches so far; each moves mean and variance by `momentum`."""
    momentum: float


class RunningStatistics:
    """The statistics of a model in training, moved in every process by the samples of all of them.

    Each counted batch moves a statistic by `r <- (1 - momentum) r + momentum s`, so a pass with n batches is
    `r <- (1 - momentum)^n r + d`, of which n and d can be seen from outside. Applied one after the other, in the order
    of the data, the passes of all processes give what one process would have.
    """

    def __init__(self, model: nn.Module) -> None:
        self.norms = [norm for module in model.modules() if (norm := _norm(module)) is not None]
        self._before = self._state()
        self._passes: list[Tensor] = []
        self._old = self._before

    def passed(self) -> None:
        """A forward pass is done, or left out."""
        if not self.norms:
            return
        now = self._state()
        counts = now[1] - self._old[1]
        keep = self._keep(counts)
        self._passes.append(torch.cat([counts, now[0] - keep * self._old[0]]))
        self._old = now

    def settle(self) -> None:
        """An optimizer step is done: apply the passes of all processes. All of them must call it."""
        if not self.norms:
            return
        mine = torch.stack(self._passes)
        everyone = [torch.empty_like(mine) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(everyone, mine)
        values, total = self._before
        for each in torch.stack(everyone, 1).flatten(0, 1):
            counts, added = each.split([len(self.norms), len(values)])
            values = self._keep(counts) * values + added
            total = total + counts
        self._write(values, total)
        self._passes.clear()
        self._before = self._old = self._state()

    def _state(self) -> tuple[Tensor, Tensor]:
        """Every mean and variance in a row; and the counts."""
        if not self.norms:
            return torch.empty(0), torch.empty(0)
        values = torch.cat([part.double() for norm in self.norms for part in (norm.mean, norm.var)])
        return values, torch.stack([norm.batches.double() for norm in self.norms])

    def _keep(self, counts: Tensor) -> Tensor:
        """What so many batches leave of each of the values."""
        powers = [(1 - norm.momentum) ** count for norm, count in zip(self.norms, counts, strict=True)]
        sizes = torch.tensor([2 * len(norm.mean) for norm in self.norms], device=counts.device)
        return torch.stack(powers).repeat_interleave(sizes)

    def _write(self, values: Tensor, counts: Tensor) -> None:
        parts = iter(values.split([len(part) for norm in self.norms for part in (norm.mean, norm.var)]))
        for norm, count in zip(self.norms, counts, strict=True):
            norm.mean.copy_(next(parts))
            norm.var.copy_(next(parts))
            norm.batches.copy_(count)


def share_buffers(model: nn.Module) -> None:
    """Give every process the buffers of the first one, which are those that are saved. All of them must call it."""
    saved = model.state_dict(keep_vars=True)
    for name, buffer in model.named_buffers():
        if name in saved:
            first = buffer.clone(memory_format=torch.contiguous_format)
            torch.distributed.broadcast(first, 0)
            buffer.copy_(first)


def _norm(module: nn.Module) -> _Norm | None:
    """The statistics of a module that has those of torch's batch normalisation, under the same names."""
    found = [getattr(module, name, None) for name in ("running_mean", "running_var", "num_batches_tracked", "momentum")]
    mean, var, batches, momentum = found
    if not all(isinstance(part, Tensor) for part in (mean, var, batches)) or not isinstance(momentum, float):
        return None
    return _Norm(mean, var, batches, momentum)  # type: ignore[arg-type]
