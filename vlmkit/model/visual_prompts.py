"""Prompts of videos, which layers inside the LLM read beside its sequence: each row reads those of its videos.

Shape letters: B rows, V videos (blocks, where an aligner reads text), K layers that read prompts, P prompts of a video,
M prompts of a row, D LLM width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["arrange_prompts", "join_prompts"]


def arrange_prompts(prompts: Tensor, rows: Tensor | None, batch: int) -> tuple[Tensor, Tensor]:
    """Return (K, B, M, D) the prompts that each row reads, and (B, M) bool, True where it has one.

    Args:
        prompts: (K, V, P, D).
        rows: (V,) int64, ascending: the row that each video belongs to; None: one video for each row.
        batch: B.

    Raises:
        ValueError: `rows` does not say it of each video, or is needed.
    """
    videos = prompts.shape[1]
    if rows is None:
        if videos != batch:
            raise ValueError(
                f"video_rows: expected the row of each of {videos} videos, since there are {batch} rows, found None; "
                "make the inputs with the processor of this model"
            )
        rows = torch.arange(videos)
    found = rows.tolist()
    if len(found) != videos or found != sorted(found) or not all(0 <= row < batch for row in found):
        raise ValueError(f"video_rows: expected {videos} of the rows 0 to {batch - 1}, ascending, found {found}")
    return join_prompts([prompts[:, video] for video in range(videos)], found, batch)


def join_prompts(prompts: Sequence[Tensor], rows: Sequence[int], batch: int) -> tuple[Tensor, Tensor]:
    """Return the same of V videos (K, P, D), which may have different numbers of prompts."""
    first = prompts[0]
    own = [[video for video, at in zip(prompts, rows, strict=True) if at == row] for row in range(batch)]
    lengths = [sum(video.shape[1] for video in each) for each in own]
    joined = first.new_zeros(batch, first.shape[0], max(lengths), first.shape[2])
    for row, each in enumerate(own):
        if each:
            joined[row, :, : lengths[row]] = torch.cat(each, 1)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    return joined.transpose(0, 1), mask.to(first.device)
