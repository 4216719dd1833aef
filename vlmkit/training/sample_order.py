"""The order in which a stage reads its samples: drawn from the seed, known at every position without reading data.

A stage is one sequence of positions 0, 1, 2, …; optimizer step s takes positions s*batch_size to (s+1)*batch_size.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from vlmkit.spec.experiment import StageSpec

__all__ = ["MicroBatchSampler", "SampleOrder", "is_flipped"]


@dataclass(frozen=True)
class SampleOrder:
    """The samples of one stage in the order of training."""

    size: int
    """Samples that the stage's datasets hold."""
    used: int
    """Samples that are used: `fraction` of them."""
    steps: int
    """Optimizer steps."""
    total: int
    """Positions: samples read over all epochs."""
    batch_size: int
    """Positions per optimizer step; the last step may have fewer."""
    seed: int
    stage: int
    """Number of the stage, from 1."""

    @classmethod
    def of(cls, stage: StageSpec, size: int, seed: int, number: int) -> SampleOrder:
        """Return the order of stage `number` (from 1) over `size` samples."""
        used = max(1, round(stage.fraction * size))
        if stage.steps is not None:
            steps, total = stage.steps, stage.steps * stage.batch_size
        else:
            assert stage.epochs is not None
            total = max(1, math.ceil(round(stage.epochs * used, 6)))  # 1.1 * 100 is a little more than 110
            steps = math.ceil(total / stage.batch_size)
        return cls(size, used, steps, total, stage.batch_size, seed, number)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, position: int) -> tuple[int, int]:
        """Return (epoch, index of the sample) at a position."""
        epoch, place = divmod(position, self.used)
        return epoch, int(_permutation(self.size, self.used, self.seed, self.stage, epoch)[place])

    def epoch_after(self, step: int) -> float:
        """Return how many passes over the data are done after so many steps."""
        return min(step * self.batch_size, self.total) / self.used


@lru_cache(maxsize=4)
def _permutation(size: int, used: int, seed: int, stage: int, epoch: int) -> npt.NDArray[np.int64]:
    chosen = np.random.default_rng([seed, stage]).permutation(size)[:used]
    # From 1: numpy draws the same from [seed, stage] and [seed, stage, 0].
    return np.random.default_rng([seed, stage, epoch + 1]).permutation(chosen)


class MicroBatchSampler:
    """Positions of each forward pass of one process, in order: a batch sampler for a DataLoader.

    Every process makes the same number of passes; at the end of the data some may be smaller or empty.
    """

    def __init__(self, order: SampleOrder, micro: int, rank: int = 0, processes: int = 1) -> None:
        self.order, self.micro, self.rank, self.processes = order, micro, rank, processes
        self.per_step = order.batch_size // (micro * processes)
        """Forward passes of one process per optimizer step."""

    def __len__(self) -> int:
        return self.order.steps * self.per_step

    def __iter__(self) -> Iterator[list[int]]:
        stride = self.micro * self.processes
        for number in range(len(self)):
            start = number * stride + self.rank * self.micro
            yield list(range(start, min(start + self.micro, self.order.total)))


def is_flipped(order: SampleOrder, epoch: int, sample: str) -> bool:
    """Return whether this sample is mirrored in this epoch: a fair coin that any process can look up."""
    text = f"{order.seed}:{order.stage}:{epoch}:{sample}"
    return bool(hashlib.blake2b(text.encode(), digest_size=1).digest()[0] & 1)
