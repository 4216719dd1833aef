"""The frame-wise part of an aligner: frames and pictures without their padding, and tokens put into sequences.

Shape letters: B videos, T frames, H W patches, p side of a patch in pixels, F frames of one group, S tokens of a frame,
N tokens of a video, P distinct tokens of a batch, C channels, D LLM width.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlmkit.api.tensors import VideoBatch, VisualTokens
from vlmkit.api.video import TokenLayout, VideoShape
from vlmkit.nn.layout import FrameBlocks, FrameGroup, Ints
from vlmkit.nn.pictures import PictureCells

__all__ = ["crop_frames", "cut_cells", "gather_tokens", "lay_out_frames", "present_frames", "to_slots"]


def present_frames(video: VideoBatch) -> tuple[Tensor, Tensor]:
    """Return the frames that are no padding in time, each as a video of its own, (F, 1, 3, H*p, W*p), and (F,) which of
    the B*T frames they are."""
    present = video.frame_mask.flatten().nonzero().squeeze(1).to(video.pixels.device)
    return video.pixels.flatten(0, 1)[present][:, None], present


def to_slots(features: Tensor, present: Tensor, frame_mask: Tensor) -> Tensor:
    """(F, …) of the frames `present` among the B*T of `frame_mask` (B, T) -> (B, T, …), zeros for the others."""
    slots = features.new_zeros(frame_mask.numel(), *features.shape[1:])
    return slots.index_copy(0, present, features).unflatten(0, tuple(frame_mask.shape))


def crop_frames(x: Tensor, group: FrameGroup) -> Tensor:
    """Cut the box of one group out of its frames: (B, T, H, W, C) -> (F, h, w, C).

    x may be on a coarser grid than the patches: the box shrinks with it.
    """
    x = x.flatten(0, 1)
    if len(group.frames) < len(x):
        x = x[torch.from_numpy(group.frames).to(x.device)]
    (top, bottom, left, right), (height, width) = group.box, group.canvas
    if group.box.sides == group.canvas:
        return x
    rows = slice(top * x.shape[1] // height, bottom * x.shape[1] // height)
    columns = slice(left * x.shape[2] // width, right * x.shape[2] // width)
    return x[:, rows, columns]


def cut_cells(pixels: Tensor, cells: PictureCells, side: int) -> Tensor:
    """Cut the n cells of all pictures out of their canvases: (B, T, 3, H*side, W*side) -> (n, 3, side, side)."""
    tiles = pixels.unflatten(4, (-1, side)).unflatten(3, (-1, side)).permute(0, 1, 3, 5, 2, 4, 6)
    return tiles[tuple(torch.from_numpy(index).to(pixels.device) for index in cells.places)]


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
        blocks: the order of the tokens.
        videos: the B shapes.
    """
    groups, time = blocks.groups(videos), videos[0].frames
    frames = np.concatenate([group.frames for group in groups])
    sizes = np.repeat([part.shape[1] for part in tokens], [len(group.frames) for group in groups])
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
    return gather_tokens(projected, sources, [blocks.layout(video) for video in videos])


def gather_tokens(pool: Tensor, sources: Sequence[Ints], layouts: Sequence[TokenLayout]) -> VisualTokens:
    """Gather the tokens of B videos out of one pool, with a fixed number of operator calls.

    Args:
        pool: (P, D) every distinct token once, also one that stands at many positions (a row token).
        sources: for each video the (N,) indices into the pool of its tokens, in order.
        layouts: for each video its layout; `layout.tokens` is N.

    Returns:
        Embeddings (B, N of the longest video, D), zeros after the tokens of a shorter one.
    """
    longest = max(layout.tokens for layout in layouts)
    index = np.full((len(sources), longest), len(pool), np.int64)
    for row, (source, layout) in enumerate(zip(sources, layouts, strict=True)):
        if len(source) != layout.tokens:
            raise AssertionError(f"video {row}: {len(source)} tokens, its layout says {layout.tokens}")
        index[row, : layout.tokens] = source
    mask = torch.from_numpy(index < len(pool)).to(pool.device)
    padded = torch.cat([pool, pool.new_zeros(1, pool.shape[1])]) if (index == len(pool)).any() else pool
    patches = torch.from_numpy(np.stack([layout.patches for layout in layouts])).to(pool.device)
    # An embedding look-up: unlike indexing, it has a fast backward for tokens that stand in many places.
    embeddings = F.embedding(torch.from_numpy(index).to(pool.device), padded)
    return VisualTokens(embeddings, mask, patches)
