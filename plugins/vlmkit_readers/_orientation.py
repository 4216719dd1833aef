"""How a picture is set upright: the display matrix of MP4, MOV and Matroska (ISO/IEC 14496-12, 6.2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Matrix", "Orientation", "display_matrix"]

Matrix = tuple[int, int, int, int]
"""The part of a display matrix that turns and mirrors: a point (x, y) is shown at (ax + cy, bx + dy)."""
_SLANT = 1 / 57
"""How much of a side a matrix may slant, about one degree; a matrix that turns by other angles counts as none."""
_TURNS = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""By degrees, clockwise."""


class Orientation(NamedTuple):
    """One of the eight ways in which a rectangle can lie: four turns, each with or without a mirror."""

    transposed: bool = False
    """Rows become columns; this comes first."""
    mirrored: bool = False
    """Left and right change places."""
    flipped: bool = False
    """Top and bottom change places."""

    @classmethod
    def of(cls, matrix: Matrix | None) -> Orientation:
        """Read a matrix; without one, a picture lies as it is shown."""
        if matrix is None:
            return cls()
        a, b, c, d = matrix
        if max(abs(b), abs(c)) <= _SLANT * min(abs(a), abs(d)):
            return cls(False, a < 0, d < 0)
        if max(abs(a), abs(d)) <= _SLANT * min(abs(b), abs(c)):
            return cls(True, c < 0, b < 0)
        return cls()

    @property
    def mirrors(self) -> bool:
        """Whether it shows a mirrored picture, which no turn gives."""
        return (self.transposed + self.mirrored + self.flipped) % 2 == 1

    def upright(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Return (H, W, 3) pixels as they are to be shown."""
        picture = picture.swapaxes(0, 1) if self.transposed else picture
        return picture[:: -1 if self.flipped else 1, :: -1 if self.mirrored else 1]


def display_matrix(frame: Any, tags: Mapping[str, str]) -> Matrix | None:
    """Return the matrix of a decoded PyAV frame; without one, that of the tag `rotate` of older Matroska files."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is not None:
        a, b, _, c, d, *_ = np.frombuffer(bytes(data), np.int32).tolist()
        return a, b, c, d
    rotate = next((value for key, value in tags.items() if key.lower() == "rotate"), "")
    return _TURNS.get(int(rotate) % 360) if rotate.removeprefix("-").isdecimal() and len(rotate) < 5 else None
