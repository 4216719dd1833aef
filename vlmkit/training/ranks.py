"""What the processes of one training tell each other, so that they train what one process would."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple, Self

import torch
from torch import nn

from vlmkit.errors import PluginError, UserError
from vlmkit.runtime import world_size
from vlmkit.training.batch import Bad, MicroBatch

__all__ = ["Found", "Pass", "exchange", "in_turn", "reduce_in_order"]


class Pass(NamedTuple):
    """What one process has read for one forward pass."""

    good: list[str]
    bad: list[Bad]
    error: UserError | None


class Found(NamedTuple):
    """What one process has read for one optimizer step."""

    passes: list[Pass]
    tokens: int
    frames: int
    videos: int
    broken: bool = False
    """Whether a loss before this step was not a finite number."""

    @classmethod
    def of(cls, batches: Sequence[MicroBatch], *, broken: bool = False) -> Self:
        """Sum up the micro-batches of a step."""
        return cls(
            [Pass(batch.good, batch.bad, batch.error) for batch in batches],
            sum(batch.tokens for batch in batches),
            sum(batch.frames for batch in batches),
            sum(len(batch.video.pixels) for batch in batches if batch.video is not None),
            broken,
        )


def exchange(found: Found) -> list[Found]:
    """Return what every process has found, in the order of the processes. All of them must call it."""
    if world_size() == 1:
        return [found]
    everyone: list[Any] = [None] * world_size()
    torch.distributed.all_gather_object(everyone, found)
    return everyone


def in_turn(everyone: Iterable[Found]) -> list[Pass]:
    """Return the passes of all processes in the order of the data, in which one process would make them."""
    rounds = zip_longest(*(found.passes for found in everyone))
    return [made for together in rounds for made in together if made is not None]


def reduce_in_order(zero: Any, parameters: Iterable[nn.Parameter]) -> None:
    """Make ZeRO-2 add up gradients in one order on every process.

    ZeRO-2 fills its buckets with gradients as the backward pass brings them, and adds up the buckets of all processes
    element by element. But a pass without videos, an empty one, or one through other branches of a component brings
    them in another order, and gradients of different parameters would be added up. So a gradient waits here until all
    those have gone whose parameters stand behind its own in the model: about the order of a backward pass, so that few
    wait. Every pass must reach every parameter that trains.

    Args:
        zero: DeepSpeed's optimizer; one that does not partition gradients adds them up in the order of its parameters.
        parameters: all of the model's, in its order.
    """
    if not getattr(zero, "partition_gradients", False):
        return
    if not callable(getattr(zero, "process_gradients", None)):
        raise PluginError(
            "training.engine: this version of DeepSpeed reduces gradients in an unknown way; expected one with "
            "`process_gradients`, as 0.19.8 has it: pip install deepspeed==0.19.8"
        )
    last_first = [id(parameter) for parameter in parameters if parameter.requires_grad][::-1]
    zero.process_gradients = _Queue(zero.process_gradients, {key: place for place, key in enumerate(last_first)})


class _Queue:
    """Passes calls on in the order of `places`, again and again."""

    def __init__(self, process: Any, places: dict[int, int]) -> None:
        self.process, self.places = process, places
        self.waiting: dict[int, tuple[nn.Parameter, int]] = {}
        self.next = 0

    def __call__(self, parameter: nn.Parameter, group: int) -> None:
        """The gradient of a parameter is there."""
        place = self.places[id(parameter)]
        if place < self.next or place in self.waiting:
            raise RuntimeError("a backward pass brought a gradient twice, or the one before has left some out")
        self.waiting[place] = (parameter, group)
        while self.next in self.waiting:
            self.process(*self.waiting.pop(self.next))
            self.next += 1
        if self.next == len(self.places):
            self.next = 0
