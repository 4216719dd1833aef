"""Token layouts: at which positions of the sequence the tokens of a video stand. numpy only, no torch.

An aligner that works frame by frame gives one block of tokens per frame: [CLS; each row of patches, then its row
token]. Patches tile the canvas; a box is a rectangle of patches; the downsampler makes a grid of tokens of each box.

Shape letters: B videos, T frames, F frames of one box, N tokens of a video, H W patches, h w tokens of a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vlmkit.api.bounds import check_cells
from vlmkit.api.downsampler import DownsamplerSpec
from vlmkit.api.video import TokenLayout, VideoShape

__all__ = ["Box", "FrameBlocks", "FrameGroup", "Ints", "layout_of_blocks", "layout_without_patches"]

Ints = npt.NDArray[np.int64]
CLS, ROW = -1, -2
BLANK_PATCHES = 16


class Box(NamedTuple):
    """A rectangle of patches; bottom and right exclusive."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def sides(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left


class _Span(NamedTuple):
    """Consecutive frames of one video that share a box."""

    first: int
    number: int
    box: Box
    grid: tuple[int, int]


class FrameGroup(NamedTuple):
    """All frames of a batch that share a box: they are computed together."""

    frames: Ints
    """(F,) which of the B*T frames."""
    box: Box
    canvas: tuple[int, int]
    """(H, W) patches of the whole canvas."""


@dataclass(frozen=True)
class FrameBlocks:
    """The order of the tokens of an aligner that works frame by frame.

    A frame that is padding in time has no picture: it gives the tokens of the top left 16x16 patches, or of the whole
    canvas where that is smaller (Video-Panda). Its tokens are nobody's patches.
    """

    patch: int
    """Side of a patch, pixels (before the downsampler's `pixel_stride`)."""
    cell: int
    """Sides of boxes are multiples of this, pixels."""
    downsampler: DownsamplerSpec
    cls: bool
    """A CLS token leads each frame."""
    row_tokens: bool
    """A row token ends each row; not where the downsampler keeps no rows."""

    @property
    def rows(self) -> bool:
        """True where row tokens stand in the sequence."""
        return self.row_tokens and self.downsampler.keeps_rows()

    @property
    def unit(self) -> int:
        """Pixels of the canvas per patch."""
        return self.patch * self.downsampler.pixel_stride

    def canvas(self, video: VideoShape) -> tuple[int, int]:
        """(H, W) patches. Raise a ValueError where the canvas or the picture is not made of whole patches."""
        for name, sides in (("canvas", (video.height, video.width)), ("content", video.content_box)):
            if any(side % self.unit for side in sides):
                raise ValueError(f"the {name} {sides} is not made of whole patches of {self.unit} pixels")
        return video.height // self.unit, video.width // self.unit

    def layout(self, video: VideoShape) -> TokenLayout:
        """The positions of the tokens of one video."""
        canvas = self.canvas(video)
        cells = self.downsampler.grid(*canvas)
        for grid in (canvas, cells):
            check_cells(video.frames, grid)
        patches = np.full((video.frames, *cells), -1, np.int64)
        rows, offset = [np.zeros(0, np.int64)], 0
        for span in self._spans(video, canvas):
            order = self._order(span.grid)
            starts = offset + len(order) * np.arange(span.number, dtype=np.int64)
            rows.append((starts[:, None] + np.flatnonzero(order == ROW)).ravel())
            if span.first < video.num_frames_present and self.downsampler.keeps_rows():
                owner = _owners(canvas, span.box, patches.shape[1:], span.grid)
                places = np.append(np.flatnonzero(order >= 0), -1)[owner]
                stands = np.where(owner < 0, -1, starts[:, None, None] + places)
                patches[span.first : span.first + span.number] = stands
            offset += span.number * len(order)
        return TokenLayout(offset, patches, np.concatenate(rows))

    def groups(self, videos: Sequence[VideoShape]) -> list[FrameGroup]:
        """The frames of a batch by box, in order of appearance."""
        found: dict[Box, list[Ints]] = {}
        for index, video in enumerate(videos):
            for span in self._spans(video, self.canvas(video)):
                first = index * video.frames + span.first
                found.setdefault(span.box, []).append(np.arange(first, first + span.number, dtype=np.int64))
        canvas = self.canvas(videos[0])
        return [FrameGroup(np.concatenate(frames), box, canvas) for box, frames in found.items()]

    def sources(self, video: VideoShape, first_patch: Ints, cls: Ints, row: int) -> Ints:
        """Return (N,) indices of the tokens of one video in a pool of distinct tokens.

        Args:
            video: its shape.
            first_patch: (T,) where in the pool each frame's patches begin.
            cls: (T,) where each frame's CLS token lies; unused without CLS.
            row: where the row token lies; unused without rows.
        """
        parts = []
        for span in self._spans(video, self.canvas(video)):
            order, frames = self._order(span.grid), slice(span.first, span.first + span.number)
            source = np.where(order >= 0, first_patch[frames, None] + order, row)
            parts.append(np.where(order == CLS, cls[frames, None], source).ravel())
        return np.concatenate(parts)

    def _order(self, grid: tuple[int, int]) -> Ints:
        """(n,) the tokens of one frame: index of a patch among the frame's patches, or CLS, or ROW."""
        order = np.arange(grid[0] * grid[1], dtype=np.int64).reshape(grid)
        if self.rows:
            order = np.pad(order, ((0, 0), (0, 1)), constant_values=ROW)
        return np.concatenate([np.full(int(self.cls), CLS, np.int64), order.ravel()])

    def _spans(self, video: VideoShape, canvas: tuple[int, int]) -> list[_Span]:
        content = Box(*(side // self.unit for side in video.content_box))
        cell = max(self.cell // self.unit, 1)
        side = BLANK_PATCHES // self.downsampler.pixel_stride // cell * cell or cell
        blank = Box(0, min(side, canvas[0]), 0, min(side, canvas[1]))
        present = video.num_frames_present
        runs = (0, present, content), (present, video.frames - present, blank)
        return [_Span(first, n, box, self.downsampler.grid(*box.sides)) for first, n, box in runs if n]


def _owners(canvas: tuple[int, int], box: Box, cells: tuple[int, ...], grid: tuple[int, int]) -> Ints:
    """Return (h, w) indices of the tokens of a box that cover the centers of the cells of the canvas; -1 outside it."""
    down = _along(canvas[0], box.top, box.bottom, cells[0], grid[0])
    across = _along(canvas[1], box.left, box.right, cells[1], grid[1])
    return np.where((down[:, None] < 0) | (across < 0), -1, down[:, None] * grid[1] + across)


def _along(size: int, start: int, stop: int, cells: int, tokens: int) -> Ints:
    center = (np.arange(cells) + 0.5) * size / cells
    token = np.floor((center - start) * tokens / (stop - start)).astype(np.int64)
    return np.where((center >= start) & (center < stop), token, -1)


def layout_without_patches(tokens: int, frames: int, grid: tuple[int, int]) -> TokenLayout:
    """The layout of tokens of which none stands for a patch of the T = `frames` frames of (h, w) = `grid` patches."""
    check_cells(frames, grid)
    return TokenLayout(tokens, np.full((frames, *grid), -1, np.int64), np.empty(0, np.int64))


def layout_of_blocks(order: Ints, frames: int, grid: tuple[int, int], prefix: int, cells: bool) -> TokenLayout:
    """The layout of n blocks, each of `prefix` tokens and then the grid of tokens of one frame.

    Args:
        order: (n,) index of the frame of each block.
        frames: T, frame slots of the video.
        grid: (h, w).
        prefix: tokens before each grid.
        cells: True where tokens stand for patches of the picture. Those of a repeated frame are in its first block.
    """
    per_frame = grid[0] * grid[1]
    block = prefix + per_frame
    layout = layout_without_patches(len(order) * block, frames, grid)
    if cells:
        frame, first = np.unique(order, return_index=True)
        layout.patches[frame] = (first[:, None] * block + prefix + np.arange(per_frame)).reshape(-1, *grid)
    return layout
