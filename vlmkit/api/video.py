"""Videos as numbers, without tensors: what pixels a component wants, what it gets, which tokens come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from vlmkit.api.bounds import MOST_PIXELS, Frames, Side
from vlmkit.api.spec import ComponentSpec, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Fit",
    "TokenLayout",
    "VideoComponentSpec",
    "VideoInput",
    "VideoShape",
]

RGB = tuple[float, float, float]
_Mean = Annotated[float, Field(ge=0, le=1)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1000)]
CLIP_MEAN: RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: RGB = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)


class Fit(NamedTuple):
    """How a picture is put on its canvas: resize, then paste at (top, left); what lies outside is cut. Pixels."""

    width: int
    height: int
    top: int
    left: int


class VideoShape(NamedTuple):
    """One fitted video, without its pixels."""

    frames: int
    """T: frame slots."""
    height: int
    """H of the canvas, pixels."""
    width: int
    """W of the canvas, pixels."""
    content_box: tuple[int, int, int, int]
    """Top, bottom, left, right of the picture inside its padding, pixels, bottom and right exclusive."""
    num_frames_present: int
    """How many leading frames hold a picture; the rest is padding in time."""


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """Where the tokens of one video stand in the sequence that an aligner gives for it."""

    tokens: int
    """N: length of the sequence."""
    patches: npt.NDArray[np.int64]
    """(T, h, w): position of the token of each cell of the canvas, -1 where there is none."""
    rows: npt.NDArray[np.int64]
    """(R,): positions of the row-end tokens; empty where the layout has none."""


class VideoInput(Spec):
    """The pixels that an aligner or a teacher wants. The defaults are Video-Panda's."""

    frames: Frames = 8
    """Frames per video (with sampling `one-fps`: at the most)."""
    sampling: Literal["reference", "uniform", "segment-midpoint", "segment-centre", "one-fps"] = "reference"
    """Which frames: `reference` (Video-Panda: one per second, thinned to `frames`), `uniform` (Video-LLaVA: first to
    last), `segment-midpoint` (Video-ChatGPT), `segment-centre` (PLLaVA), `one-fps` (Chat-UniVi)."""
    size: Side = 448
    """Side of the square canvas, pixels."""
    fit: Literal["pad", "crop", "squash"] = "pad"
    """`pad`: long side to `size`, short side up to the next `multiple`, rest padded; `crop`: short side to `size`,
    center crop; `squash`: both sides to `size`."""
    multiple: Side = 28
    """With `pad`: the picture's sides and offsets are multiples of this, pixels."""
    mean: tuple[_Mean, _Mean, _Mean] = CLIP_MEAN
    """Mean of the RGB values in 0..1; also the color of the padding."""
    std: tuple[_Deviation, _Deviation, _Deviation] = CLIP_STD
    """Standard deviation of the RGB values in 0..1."""

    @model_validator(mode="after")
    def _divides(self) -> VideoInput:
        if self.fit == "pad" and self.size % self.multiple:
            raise ValueError(f"size {self.size} is not a multiple of {self.multiple} (`multiple`)")
        if (pixels := self.frames * self.size**2) > MOST_PIXELS:
            raise ValueError(
                f"{self.frames:,} frames of {self.size:,}x{self.size:,} are {pixels:,} pixels, expected at most "
                f"{MOST_PIXELS:,}; lower `frames` or `size`"
            )
        return self

    def place(self, width: int, height: int) -> Fit:
        """Where a picture of width x height pixels goes on the canvas.

        `pad` is the rule of Video-Panda's and EVE's preprocessing: the long side becomes `size`; the short side is
        rounded up to a multiple; the padding before it is half of the rest, rounded down to a multiple.
        """
        size, unit = self.size, self.multiple
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

    def shape(self, width: int, height: int, num_frames_present: int | None = None) -> VideoShape:
        """The fitted shape of a video of width x height pixels with so many sampled frames (None: all slots)."""
        fit = self.place(width, height)
        top, left = max(fit.top, 0), max(fit.left, 0)
        bottom, right = min(fit.top + fit.height, self.size), min(fit.left + fit.width, self.size)
        count = self.frames if num_frames_present is None else num_frames_present
        slots = count if self.sampling == "one-fps" else self.frames
        return VideoShape(slots, self.size, self.size, (top, bottom, left, right), count)


class VideoComponentSpec(ComponentSpec):
    """A component that wants pixels."""

    input: VideoInput = VideoInput()
    """The pixels it wants."""

    @field_validator("input", mode="before")
    @classmethod
    def _keep_own_defaults(cls, value: object) -> object:
        """`input: {frames: 16}` changes the frames and leaves the rest as the component has it."""
        if isinstance(value, Mapping):
            return {**cls.model_fields["input"].default.model_dump(), **value}
        return value
