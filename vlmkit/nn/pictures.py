"""Token layouts of aligners that make one token of each cell of a picture, whatever its sides. numpy only, no torch.

Canvases of a batch are as large as its largest; what lies outside of a video's content box gives no tokens, nor do
frames that are padding in time.

Shape letters: B videos, T frames, H W cells of the canvas, h w cells of a picture, n cells of all pictures, N tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vlmkit.api.bounds import check_cells
from vlmkit.api.video import TokenLayout, VideoShape
from vlmkit.nn.layout import CLS, ROW, Box, Ints

__all__ = ["PictureBlocks", "PictureCells"]


class PictureCells(NamedTuple):
    """The cells of all pictures of a batch, in the order of videos, frames, rows and columns."""

    places: tuple[Ints, Ints, Ints, Ints]
    """(n,) each: video, frame, row and column of the canvas."""
    rows: Ints
    """(n,) the row in its picture."""
    columns: Ints
    """(n,) the column in its picture."""


@dataclass(frozen=True)
class PictureBlocks:
    """The order of the tokens: for each frame [CLS; each row of cells, then its row token]."""

    cell: int
    """Side of a cell, pixels."""
    cls: bool = False
    """A CLS token leads each frame."""
    row_tokens: bool = False
    """A row token ends each row."""

    def layout(self, video: VideoShape) -> TokenLayout:
        """The positions of the tokens of one video. A ValueError where canvas or picture are not made of whole
        cells."""
        (height, width), box = self._cells(video)
        check_cells(video.frames, (height, width))
        order = self._order(box)
        starts = len(order) * np.arange(video.num_frames_present, dtype=np.int64)[:, None]
        patches = np.full((video.frames, height, width), -1, np.int64)
        inside = (starts + np.flatnonzero(order >= 0)).reshape(-1, *box.sides)
        patches[: video.num_frames_present, box.top : box.bottom, box.left : box.right] = inside
        rows = (starts + np.flatnonzero(order == ROW)).ravel()
        return TokenLayout(len(order) * video.num_frames_present, patches, rows)

    def cells(self, videos: Sequence[VideoShape]) -> PictureCells:
        """The cells of the pictures of a batch."""
        parts = []
        for number, video in enumerate(videos):
            _, box = self._cells(video)
            frame, row, column = np.indices((video.num_frames_present, *box.sides), dtype=np.int64).reshape(3, -1)
            parts.append(np.stack([np.full_like(frame, number), frame, row + box.top, column + box.left, row, column]))
        found = np.concatenate(parts, 1)
        return PictureCells((found[0], found[1], found[2], found[3]), found[4], found[5])

    def sources(self, videos: Sequence[VideoShape]) -> list[Ints]:
        """Return for each video the (N,) indices of its tokens in a pool: the n cells, the CLS token, the row token."""
        orders = [self._order(self._cells(video)[1]) for video in videos]
        per_frame = [int((order >= 0).sum()) for order in orders]
        counts = [cells * video.num_frames_present for cells, video in zip(per_frame, videos, strict=True)]
        ends, total = np.cumsum(counts), sum(counts)
        found = []
        for order, cells, end, count in zip(orders, per_frame, ends, counts, strict=True):
            first = np.arange(end - count, end, cells, dtype=np.int64)[:, None]
            place = np.where(order >= 0, first + order, np.where(order == CLS, total, total + int(self.cls)))
            found.append(place.ravel())
        return found

    def _cells(self, video: VideoShape) -> tuple[tuple[int, int], Box]:
        """Return the cells of the canvas, (H, W), and the picture among them."""
        for name, sides in (("canvas", (video.height, video.width)), ("content", video.content_box)):
            if any(side % self.cell for side in sides):
                raise ValueError(f"the {name} {sides} is not made of whole cells of {self.cell} pixels")
        box = Box(*(side // self.cell for side in video.content_box))
        return (video.height // self.cell, video.width // self.cell), box

    def _order(self, box: Box) -> Ints:
        """(S,) the tokens of one frame: index of a cell among the frame's cells, or CLS, or ROW."""
        order = np.arange(box.sides[0] * box.sides[1], dtype=np.int64).reshape(box.sides)
        if self.row_tokens:
            order = np.pad(order, ((0, 0), (0, 1)), constant_values=ROW)
        return np.concatenate([np.full(int(self.cls), CLS, np.int64), order.ravel()])
