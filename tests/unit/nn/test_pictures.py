"""Where the tokens of pictures of any sides stand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlmkit.api import VideoShape
from vlmkit.nn import PictureBlocks, cut_cells

WIDE = VideoShape(2, 24, 24, (0, 8, 0, 24), 2)
TALL = VideoShape(2, 24, 24, (8, 24, 8, 16), 1)


def test_order_of_the_tokens() -> None:
    layout = PictureBlocks(8, cls=True, row_tokens=True).layout(WIDE)
    assert layout.tokens == 2 * (1 + 1 * 4)
    assert layout.rows.tolist() == [4, 9]
    assert layout.patches[:, 0].tolist() == [[1, 2, 3], [6, 7, 8]]
    assert (layout.patches[:, 1:] == -1).all()
    plain = PictureBlocks(8).layout(TALL)
    assert plain.tokens == 2
    assert plain.patches[0].tolist() == [[-1, -1, -1], [-1, 0, -1], [-1, 1, -1]]
    assert (plain.patches[1] == -1).all(), "a frame that is padding in time has no tokens"


def test_the_canvas_changes_nothing_but_the_grid() -> None:
    blocks = PictureBlocks(8, cls=True, row_tokens=True)
    small, large = (blocks.layout(VideoShape(2, side, 24, (0, 8, 0, 24), 2)) for side in (8, 64))
    assert small.tokens == large.tokens
    assert np.array_equal(small.patches, large.patches[:, :1])
    assert np.array_equal(small.rows, large.rows)


def test_cells_are_cut_where_they_are() -> None:
    blocks = PictureBlocks(8)
    cells = blocks.cells([WIDE, TALL])
    assert [index.tolist() for index in cells.places] == [
        [0, 0, 0, 0, 0, 0, 1, 1],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1, 2],
        [0, 1, 2, 0, 1, 2, 1, 1],
    ]
    assert cells.rows.tolist() == [0, 0, 0, 0, 0, 0, 0, 1]
    assert cells.columns.tolist() == [0, 1, 2, 0, 1, 2, 0, 0]
    pixels = torch.randn(2, 2, 3, 24, 24)
    cut = cut_cells(pixels, cells, 8)
    assert torch.equal(cut[5], pixels[0, 1, :, 0:8, 16:24])
    assert torch.equal(cut[7], pixels[1, 0, :, 16:24, 8:16])


def test_sources_name_every_token() -> None:
    sources = PictureBlocks(8, cls=True, row_tokens=True).sources([WIDE, TALL])
    assert [source.tolist() for source in sources] == [[8, 0, 1, 2, 9, 8, 3, 4, 5, 9], [8, 6, 9, 7, 9]]
    rows_alone = PictureBlocks(8, row_tokens=True).sources([TALL])
    assert rows_alone[0].tolist() == [0, 2, 1, 2]


@pytest.mark.parametrize(("box", "what"), [((0, 12, 0, 24), "content"), ((0, 8, 0, 24), "canvas")])
def test_pictures_between_cells_are_refused(box: tuple[int, int, int, int], what: str) -> None:
    side = 24 if what == "content" else 20
    with pytest.raises(ValueError, match=f"the {what} .* is not made of whole cells of 8 pixels"):
        PictureBlocks(8).layout(VideoShape(1, side, 24, box, 1))
