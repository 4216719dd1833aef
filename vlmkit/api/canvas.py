"""The canvas that pictures are fitted on: a square, or sides of the picture's own within a bounded area."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from vlmkit.api.bounds import Area, Side
from vlmkit.api.scaling import MOST_ELONGATED, scale_between, scale_down_to_area, scale_to_area
from vlmkit.api.spec import Spec

__all__ = [
    "CLIP_MEAN", "CLIP_STD", "IMAGENET_MEAN", "IMAGENET_STD", "Box", "Canvas", "Fit", "own_options",
]  # fmt: skip

RGB = tuple[float, float, float]
Box = tuple[int, int, int, int]
"""Top, bottom, left, right, pixels; bottom and right exclusive."""
_Mean = Annotated[float, Field(ge=0, le=1)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1000)]
CLIP_MEAN: RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: RGB = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)
_FITS_OF = {"min_pixels": ("pixels",), "max_pixels": ("area", "pixels"), "enlarge": ("area",)}
"""The fits that an option is for; others are for all."""


class Fit(NamedTuple):
    """Placement of a picture on its canvas: resize, then paste at (top, left); what lies outside is cut. Pixels."""

    width: int
    height: int
    top: int
    left: int


def _is_unset(value: object) -> bool:
    """Tell what need not be written: specs that say nothing of areas stay as they are."""
    return value is None or value is False


class Canvas(Spec):
    """The canvas that pictures are fitted on, and their normalization. The defaults are Video-Panda's."""

    size: Side = 448
    """Side of the square canvas, pixels. With `area` and `pixels`, the root of `max_pixels` where that is not given."""
    fit: Literal["pad", "crop", "squash", "area", "pixels"] = "pad"
    """`pad`: long side to `size`, short side up to the next `multiple`, rest padded; `crop`: short side to `size`,
    center crop; `squash`: both sides to `size`. Without a square, each side a `multiple`, for aligners that take it:
    `area`: at most `max_pixels` (EVEv2); `pixels`: from `min_pixels` to `max_pixels` (Qwen2-VL, NEO)."""
    multiple: Side = 28
    """With `pad`, `area` and `pixels`: the picture's sides and, with `pad`, offsets are multiples of this, pixels."""
    min_pixels: Annotated[Area | None, Field(exclude_if=_is_unset)] = None
    """With `pixels`: smaller pictures are enlarged to this area; None: to the square of `multiple`."""
    max_pixels: Annotated[Area | None, Field(exclude_if=_is_unset)] = None
    """With `area` and `pixels`: larger pictures are scaled down to this area, but for the rounding of sides; None: the
    square of `size`."""
    enlarge: Annotated[bool, Field(exclude_if=_is_unset)] = False
    """With `area`: smaller pictures are scaled up to the area, and sides rounded up, as EVEv2's inference does; false:
    they keep their size, and sides are rounded to the nearest multiple, as in its training."""
    mean: tuple[_Mean, _Mean, _Mean] = CLIP_MEAN
    """Mean of the RGB values in 0..1; also the color of the padding."""
    std: tuple[_Deviation, _Deviation, _Deviation] = CLIP_STD
    """Standard deviation of the RGB values in 0..1."""

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.fit == "pad" and self.size % self.multiple:
            raise ValueError(f"size {self.size} is not a multiple of {self.multiple} (`multiple`)")
        return self

    @model_validator(mode="after")
    def _bounds_areas(self) -> Self:
        for key, fits in _FITS_OF.items():
            if getattr(self, key) and self.fit not in fits:
                raise ValueError(f"{key} is for fit {' or '.join(fits)}, found fit {self.fit}; remove one of them")
        least, most = self.min_pixels or self.multiple**2, self.most_pixels
        if not self.is_square and not least <= most:
            raise ValueError(f"max_pixels is {most:,}, expected at least {least:,}, as min_pixels and multiple ask")
        return self

    @property
    def is_square(self) -> bool:
        """True where every canvas is a square of `size`; False where each video has sides of its own."""
        return self.fit not in ("area", "pixels")

    @property
    def most_pixels(self) -> int:
        """The area of the largest canvas; with `area` and `pixels`, but for the rounding of its sides."""
        return self.max_pixels or self.size**2

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """Return (height, width) of the canvas of a picture of width x height pixels."""
        place = self.place(width, height)
        return (self.size, self.size) if self.is_square else (place.height, place.width)

    def filling_pictures(self) -> Iterator[tuple[int, int]]:
        """Yield width and height of a picture with the largest canvas of each height, the square canvas but once."""
        if self.is_square:
            yield self.size, self.size
            return
        found: dict[int, tuple[int, int, int]] = {}
        for height in self._heights():
            for area in {self.most_pixels, 4 * self.most_pixels, self.min_pixels or self.most_pixels}:
                for width in (area // height, area // height // self.multiple * self.multiple):
                    if width and max(width, height) <= MOST_ELONGATED * min(width, height):
                        rows, columns = self.sides(width, height)
                        found[rows] = max(found.get(rows, (0, 0, 0)), (columns, width, height))
        yield from ((width, height) for _, width, height in found.values())

    def _heights(self) -> Iterator[int]:
        """Yield multiples, and heights that are just rounded up to them."""
        for height in range(self.multiple, 2 * math.isqrt(self.most_pixels * MOST_ELONGATED) + 1, self.multiple):
            yield from (height, height - self.multiple // 2 + 1, height - self.multiple + 1)

    def place(self, width: int, height: int) -> Fit:
        """Return where a picture of width x height pixels goes on its canvas.

        `pad` is the rule of Video-Panda's and EVE's preprocessing: the long side becomes `size`; the short side is
        rounded up to a multiple; the padding before it is half of the rest, rounded down to a multiple. A ValueError
        where `area` or `pixels` would make a strip of the picture.
        """
        size, unit = self.size, self.multiple
        if not self.is_square:
            return Fit(*self._scaled(width, height), 0, 0)
        if self.fit == "squash":
            return Fit(size, size, 0, 0)
        if self.fit == "crop":
            short = min(width, height)
            new_w, new_h = width * size // short, height * size // short
            return Fit(new_w, new_h, -((new_h - size) // 2), -((new_w - size) // 2))
        cells = size // unit
        short_cells = -(-cells * min(width, height) // max(width, height))
        before = (cells - short_cells) // 2 * unit
        if width > height:
            return Fit(size, short_cells * unit, before, 0)
        return Fit(short_cells * unit, size, 0, before)

    def content_box(self, width: int, height: int) -> Box:
        """Return top, bottom, left and right of a picture of width x height pixels inside its padding."""
        fit, sides = self.place(width, height), self.sides(width, height)
        top, left = max(fit.top, 0), max(fit.left, 0)
        return top, min(fit.top + fit.height, sides[0]), left, min(fit.left + fit.width, sides[1])

    def _scaled(self, width: int, height: int) -> tuple[int, int]:
        if max(width, height) > MOST_ELONGATED * min(width, height):
            raise ValueError(
                f"a picture of {width}x{height} pixels is more than {MOST_ELONGATED} times as long as it is wide, "
                f"which fit {self.fit} does not take"
            )
        if self.fit == "pixels":
            least = self.min_pixels or self.multiple**2
            return scale_between(width, height, least, self.most_pixels, self.multiple)
        scale = scale_to_area if self.enlarge else scale_down_to_area
        return scale(width, height, self.most_pixels, self.multiple)


def own_options(options: Mapping[str, Any], fit: object) -> dict[str, Any]:
    """Return a component's own options of its canvas without those that another fit, where one is named, has not."""
    kept = options.get("fit") if fit is None else fit
    return {key: item for key, item in options.items() if key not in _FITS_OF or kept in _FITS_OF[key]}
