"""Several processes train what one process would: they tell each other what they read, their errors, and the running
statistics of normalization, and add up gradients in one order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, NamedTuple, Self, TypeVar

import torch
from torch import Tensor, nn

from vlmkit.errors import PluginError, UserError
from vlmkit.training.collate import MicroBatch, UnreadableSample

__all__ = [
    "PassContents",
    "RunningStatistics",
    "broadcast_buffers",
    "gather",
    "group_size",
    "in_data_order",
    "local_share",
    "raise_together",
    "raised_by_all",
    "reduce_in_order",
]

T = TypeVar("T")


def group_size() -> int:
    """Return how many processes have joined torch's process group; 1 where there is none."""
    initialized = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if initialized else 1


def gather(value: T) -> list[T]:
    """Return the values of all processes, in their order. All must call it."""
    count = group_size()
    if count == 1:
        return [value]
    values: list[T] = [value] * count
    torch.distributed.all_gather_object(values, value)
    return values


def local_share(items: Sequence[T]) -> Sequence[T]:
    """Return this process's part of some work: all of it where there is no process group."""
    count = group_size()
    return items[torch.distributed.get_rank() :: count] if count > 1 else items


@contextmanager
def raised_by_all() -> Iterator[None]:
    """Mark a UserError as one that all processes raise: they all do the same with what they have told each other."""
    try:
        yield
    except UserError as error:
        error.everywhere = True
        raise


def raise_together(work: Callable[[], T]) -> T:
    """Return what `work` gives. All processes must call it; where one of them raises a UserError, all do."""
    result: T | None = None
    error: UserError | None = None
    try:
        result = work()
    except UserError as caught:
        error = caught
    raised = [other for other in gather(error) if other is not None]
    if raised:
        with raised_by_all():
            raise error or raised[0]
    return result  # type: ignore[return-value]  # without an error there is one


class PassContents(NamedTuple):
    """The samples that one process has read for one forward pass, and how much of them there is to learn from."""

    loaded: list[str]
    unreadable: list[UnreadableSample]
    error: UserError | None
    tokens: int
    frames: int
    videos: int

    @classmethod
    def of(cls, batch: MicroBatch) -> Self:
        """Return those of a micro-batch."""
        videos = len(batch.video.pixels) if batch.video is not None else 0
        return cls(batch.loaded, batch.unreadable, batch.error, batch.tokens, batch.frames, videos)


def in_data_order(everyone: Iterable[Sequence[PassContents]]) -> list[PassContents]:
    """Return the passes of all processes in the order of the data, in which one process would make them."""
    return [made for passes in zip_longest(*everyone) for made in passes if made is not None]


def reduce_in_order(optimizer: Any, parameters: Iterable[nn.Parameter]) -> None:
    """Make ZeRO-2 add up gradients in one order on every process.

    ZeRO-2 fills its buckets with gradients as the backward pass brings them, and adds up the buckets of all processes
    element by element. But a pass without videos, an empty one, or one through other branches of a component brings
    them in another order, and gradients of different parameters would be added up. So a gradient waits here until all
    those have gone whose parameters stand behind its own in the model: about the order of a backward pass, so that few
    wait. Every pass must reach every parameter that trains.

    Args:
        optimizer: DeepSpeed's; one that does not partition gradients adds them up in the order of its parameters.
        parameters: all of the model's, in its order.
    """
    if not getattr(optimizer, "partition_gradients", False):
        return
    if not callable(getattr(optimizer, "process_gradients", None)):
        raise PluginError(
            "training.engine: this version of DeepSpeed reduces gradients in an unknown way; expected one with "
            "`process_gradients`, as 0.19.8 has it: pip install deepspeed==0.19.8"
        )
    last_first = [id(parameter) for parameter in parameters if parameter.requires_grad][::-1]
    places = {key: place for place, key in enumerate(last_first)}
    optimizer.process_gradients = _OrderedReduction(optimizer.process_gradients, places)


class _OrderedReduction:
    """Passes calls on in the order of `places`, again and again."""

    def __init__(self, process: Any, places: dict[int, int]) -> None:
        self.process, self.places = process, places
        self.waiting: dict[int, tuple[nn.Parameter, int]] = {}
        self.next = 0

    def __call__(self, parameter: nn.Parameter, group: int) -> None:
        """Take the gradient of a parameter, and pass on all whose turn it is."""
        place = self.places[id(parameter)]
        if place < self.next or place in self.waiting:
            raise RuntimeError("a backward pass brought a gradient twice, or the one before has left some out")
        self.waiting[place] = (parameter, group)
        while self.next in self.waiting:
            self.process(*self.waiting.pop(self.next))
            self.next += 1
        if self.next == len(self.places):
            self.next = 0


class RunningStatistics:
    """Running statistics, as batch normalization keeps them, moved in every process by the samples of all of them.

    Each process sees its own samples only. Unless they told each other, every process would have its own statistics,
    and those of the first would be saved as if there had been no other samples.

    Each counted batch moves a statistic by `r <- (1 - momentum) r + momentum s`, so a pass with n batches is
    `r <- (1 - momentum)^n r + d`, of which n and d can be seen from outside. Applied one after the other, in the order
    of the data, the passes of all processes give what one process would have.
    """

    def __init__(self, model: nn.Module) -> None:
        self.norms: list[Any] = [module for module in model.modules() if _is_batch_norm(module)]
        self._before = self._state()
        self._passes: list[Tensor] = []
        self._old = self._before

    def end_pass(self) -> None:
        """Note a forward pass that is done, or left out."""
        if not self.norms:
            return
        now = self._state()
        counts = now[1] - self._old[1]
        keep = self._keep(counts)
        self._passes.append(torch.cat([counts, now[0] - keep * self._old[0]]))
        self._old = now

    def end_step(self) -> None:
        """Apply the passes of all processes after an optimizer step. All of them must call it."""
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
        """Return every mean and variance in a row; and the counts."""
        if not self.norms:
            return torch.empty(0), torch.empty(0)
        values = torch.cat([part.double() for norm in self.norms for part in (norm.running_mean, norm.running_var)])
        return values, torch.stack([norm.num_batches_tracked.double() for norm in self.norms])

    def _keep(self, counts: Tensor) -> Tensor:
        """Return the share of each value that so many batches leave."""
        powers = [(1 - norm.momentum) ** count for norm, count in zip(self.norms, counts, strict=True)]
        sizes = torch.tensor([2 * len(norm.running_mean) for norm in self.norms], device=counts.device)
        return torch.stack(powers).repeat_interleave(sizes)

    def _write(self, values: Tensor, counts: Tensor) -> None:
        parts = iter(values.split([len(part) for norm in self.norms for part in (norm.running_mean, norm.running_var)]))
        for norm, count in zip(self.norms, counts, strict=True):
            norm.running_mean.copy_(next(parts))
            norm.running_var.copy_(next(parts))
            norm.num_batches_tracked.copy_(count)


def broadcast_buffers(model: nn.Module) -> None:
    """Give every process the buffers of the first one, which are those that are saved. All of them must call it."""
    saved = model.state_dict(keep_vars=True)
    for name, buffer in model.named_buffers():
        if name in saved:
            first = buffer.clone(memory_format=torch.contiguous_format)
            torch.distributed.broadcast(first, 0)
            buffer.copy_(first)


def _is_batch_norm(module: nn.Module) -> bool:
    """Return whether a module, of whichever class, keeps running statistics under the names of torch's `BatchNorm`."""
    statistics = (getattr(module, name, None) for name in ("running_mean", "running_var", "num_batches_tracked"))
    return all(isinstance(value, Tensor) for value in statistics) and isinstance(
        getattr(module, "momentum", None), float
    )
