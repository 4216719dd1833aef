"""Where tokens stand, for the specs to import when they are asked. No torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vlmkit.api import TokenLayout
from vlmkit.api.bounds import check_cells

__all__ = ["Ints", "blocks_of_frames", "evenly", "no_patches", "several_times"]

Ints = npt.NDArray[np.int64]


def no_patches(tokens: int, frames: int, grid: tuple[int, int]) -> TokenLayout:
    """A sequence in which no token stands at a cell of a frame."""
    check_cells(frames, grid)
    return TokenLayout(tokens, np.full((frames, *grid), -1, np.int64), np.empty(0, np.int64))


def blocks_of_frames(order: Ints, frames: int, grid: tuple[int, int], prefix: int, cells: bool) -> TokenLayout:
    """One block of `prefix` tokens and then a grid of tokens per entry of `order`.

    Args:
        order: (n,) which frame stands in each block.
        frames: T, frame slots of the video.
        grid: (h, w) tokens of a frame.
        prefix: tokens before them.
        cells: whether tokens stand at cells of the picture. Those of a frame that is repeated are in its first block.
    """
    per_frame = grid[0] * grid[1]
    block = prefix + per_frame
    layout = no_patches(len(order) * block, frames, grid)
    if cells:
        shown, first = np.unique(order, return_index=True)
        layout.patches[shown] = (first[:, None] * block + prefix + np.arange(per_frame)).reshape(-1, *grid)
    return layout


def evenly(present: int, slots: int) -> Ints:
    """(slots,) frames from the first of `present` to the last, rounded down."""
    return np.arange(slots) * (present - 1) // max(slots - 1, 1)


def several_times(present: int, slots: int) -> Ints:
    """(slots,) frames, each `slots // present + 1` times where there are too few, cut at `slots`."""
    times = 1 if present >= slots else slots // present + 1
    return np.repeat(np.arange(present), times)[:slots]
