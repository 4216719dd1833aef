"""The arithmetic of frame blocks."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from vlmkit.api import Downsampler, DownsamplerSpec, VideoShape
from vlmkit.nn import Box, FrameBlocks


class Halve(DownsamplerSpec):
    type: Literal["halve"] = "halve"

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return height // 2, width // 2

    def build(self, width: int) -> Downsampler:
        raise NotImplementedError


class Fixed(DownsamplerSpec):
    type: Literal["fixed"] = "fixed"
    rows: bool = True

    def keeps_rows(self) -> bool:
        return self.rows

    def grid(self, height: int, width: int) -> tuple[int, int]:
        return 2, 2

    def build(self, width: int) -> Downsampler:
        raise NotImplementedError


WIDE = VideoShape(3, 32, 32, (8, 24, 0, 32), 2)


def test_one_block_in_order() -> None:
    layout = FrameBlocks(4, 8, Halve(), True, True).layout(WIDE._replace(frames=1, num_frames_present=1))
    # CLS, 4 patches, row, 4 patches, row
    assert layout.tokens == 11
    assert layout.rows.tolist() == [5, 10]
    assert layout.patches[0].tolist() == [[-1] * 4, [1, 2, 3, 4], [6, 7, 8, 9], [-1] * 4]


def test_without_cls_and_rows() -> None:
    layout = FrameBlocks(4, 8, Halve(), False, False).layout(WIDE)
    assert layout.tokens == 2 * 8 + 16
    assert layout.patches[1, 1].tolist() == [8, 9, 10, 11]
    assert (layout.patches[2] == -1).all()


def test_a_fixed_grid_covers_the_box() -> None:
    """A cell of the canvas belongs to the token that covers its center."""
    blocks = FrameBlocks(4, 8, Fixed(), True, True)
    full, upper = (VideoShape(1, 32, 32, (0, bottom, 0, 32), 1) for bottom in (32, 16))
    assert blocks.layout(full).tokens == blocks.layout(upper).tokens == 7
    assert blocks.layout(full).patches[0].tolist() == [[1, 2], [4, 5]]
    assert blocks.layout(upper).patches[0].tolist() == [[4, 5], [-1, -1]]


def test_without_rows_nothing_is_a_patch() -> None:
    blocks = FrameBlocks(4, 8, Fixed(rows=False), True, True)
    assert not blocks.rows
    assert blocks.layout(WIDE).tokens == 3 * 5
    assert (blocks.layout(WIDE).patches == -1).all()


def test_the_blank_box_is_16_patches_or_the_canvas() -> None:
    small, large = (VideoShape(1, side, 4 * side, (0, side, 0, 4 * side), 0) for side in (32, 128))
    blocks = FrameBlocks(4, 8, Halve(), True, True)
    assert blocks.groups([small])[0].box == Box(0, 8, 0, 16)
    assert blocks.groups([large])[0].box == Box(0, 16, 0, 16)


def test_groups_hold_every_frame_once() -> None:
    blocks = FrameBlocks(4, 8, Halve(), True, True)
    full = VideoShape(3, 32, 32, (0, 32, 0, 32), 3)
    groups = blocks.groups([WIDE, full, WIDE._replace(num_frames_present=3)])
    assert {group.box: group.frames.tolist() for group in groups} == {
        Box(2, 6, 0, 8): [0, 1, 6, 7, 8],
        Box(0, 8, 0, 8): [2, 3, 4, 5],
    }


def test_sources_follow_the_order() -> None:
    blocks = FrameBlocks(4, 8, Halve(), True, True)
    source = blocks.sources(WIDE._replace(frames=2), np.array([0, 8]), np.array([20, 21]), 30)
    assert source.tolist() == [20, 0, 1, 2, 3, 30, 4, 5, 6, 7, 30, 21, 8, 9, 10, 11, 30, 12, 13, 14, 15, 30]


@pytest.mark.parametrize("content", [(6, 24, 0, 32), (8, 24, 0, 31)])
def test_content_between_patches_is_refused(content: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="whole patches of 4 pixels"):
        FrameBlocks(4, 8, Halve(), True, True).layout(WIDE._replace(content_box=content))
