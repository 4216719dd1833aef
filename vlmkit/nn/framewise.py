"""The frame-wise part of an aligner: cut the picture out of its padding, and lay the frames' tokens out.

Shape letters: B videos, T frames, H W patches, F frames of one group, S tokens of a frame, C channels, D LLM width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vlmkit.api.tensors import VisualTokens
from vlmkit.api.video import VideoShape
from vlmkit.nn.assemble import assemble
from vlmkit.nn.blocks import FrameBlocks, FrameGroup

__all__ = ["crop_frames", "lay_out_frames"]


def crop_frames(x: Tensor, group: FrameGroup) -> Tensor:
    """The boxes of the frames of one group, out of (B, T, H, W, C) -> (F, h, w, C).

    x may be on a coarser grid than the patches: the box shrinks with it.
    """
    x = x.flatten(0, 1)
    if len(group.frames) < len(x):
        x = x[torch.from_numpy(group.frames).to(x.device)]
    (top, bottom, left, right), (height, width) = group.box, group.canvas
    if (bottom - top, right - left) == (height, width):
        return x
    rows = slice(top * x.shape[1] // height, bottom * x.shape[1] // height)
    columns = slice(left * x.shape[2] // width, right * x.shape[2] // width)
    return x[:, rows, columns]


def lay_out_frames(
    tokens: Sequence[Tensor],
    cls: Tensor | None,
    row_token: Tensor | None,
    projector: nn.Module,
    blocks: FrameBlocks,
    videos: Sequence[VideoShape],
) -> VisualTokens:
    """Project every distinct token once and lay the videos of a batch out as `blocks` says.

    Args:
        tokens: for each of `blocks.groups(videos)` its patches, (F, S, C).
        cls: (B*T, C) one token per frame, in the order of the groups; None where `blocks.cls` is false.
        row_token: (C,); None where `blocks.rows` is false.
        projector: C -> D.
        blocks: how the frames are laid out.
        videos: the B shapes.
    """
    groups, time = blocks.groups(videos), videos[0].frames
    frames = np.concatenate([group.frames for group in groups])
    sizes = np.concatenate(
        [np.full(len(group.frames), part.shape[1]) for group, part in zip(groups, tokens, strict=True)]
    )
    first_patch = np.empty(len(frames), np.int64)
    first_patch[frames] = np.cumsum(sizes) - sizes
    cls_at = np.empty(len(frames), np.int64)
    cls_at[frames] = sizes.sum() + np.arange(len(frames))

    pool = [part.flatten(0, 1) for part in tokens]
    pool += [] if cls is None else [cls]
    pool += [] if row_token is None else [row_token[None]]
    projected = projector(torch.cat(pool))
    sources = [
        blocks.sources(video, first_patch[row : row + time], cls_at[row : row + time], len(projected) - 1)
        for row, video in zip(range(0, len(frames), time), videos, strict=True)
    ]
    return assemble(projected, sources, [blocks.layout(video) for video in videos])
