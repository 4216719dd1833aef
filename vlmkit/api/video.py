"""Videos as numbers, without tensors: which frames and what canvas a component wants, what tokens come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, GetCoreSchemaHandler, ValidationError, field_validator, model_validator
from pydantic_core import CoreSchema

from vlmkit.api.bounds import MOST_PIXELS, Frames, Side
from vlmkit.api.sampler import SamplerSpec
from vlmkit.api.spec import ComponentSpec, Slot, SlotMarker, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "CLIP_MEAN",
    "CLIP_STD",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "Canvas",
    "Fit",
    "FrameSelection",
    "TokenLayout",
    "VideoComponentSpec",
    "VideoInput",
    "VideoShape",
]

RGB = tuple[float, float, float]
Box = tuple[int, int, int, int]
"""Top, bottom, left, right, pixels; bottom and right exclusive."""
_Mean = Annotated[float, Field(ge=0, le=1)]
_Deviation = Annotated[float, Field(ge=1e-6, le=1000)]
CLIP_MEAN: RGB = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: RGB = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN: RGB = (0.485, 0.456, 0.406)
IMAGENET_STD: RGB = (0.229, 0.224, 0.225)


class Fit(NamedTuple):
    """Placement of a picture on its canvas: resize, then paste at (top, left); what lies outside is cut. Pixels."""

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
    content_box: Box
    """The picture inside its padding."""
    num_frames_present: int
    """Number of leading frames that hold a picture; the rest is padding in time."""


class _Named(Spec):
    """Looks a sampler up."""

    sampling: Slot[SamplerSpec]


class _SamplingMarker(SlotMarker):
    """Keeps a bare name as it is: plugins are imported, with the inputs of their components, before samplers can be
    looked up."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return super().__get_pydantic_core_schema__(SamplerSpec, handler)

    def validate(self, kind: str, value: object) -> ComponentSpec | str:
        """Return a sampler with options, or the name of one."""
        found = value if isinstance(value, str) else super().validate(kind, value)
        named = isinstance(found, SamplerSpec) and found.fixed and found.model_fields_set <= {"type"}
        return found.address if isinstance(found, SamplerSpec) and named else found


@dataclass(frozen=True, eq=False)
class TokenLayout:
    """Positions of the tokens of one video in the sequence that an aligner gives for it."""

    tokens: int
    """N: length of the sequence."""
    patches: npt.NDArray[np.int64]
    """(T, h, w): position of the token of each cell of the canvas, -1 where there is none."""
    rows: npt.NDArray[np.int64]
    """(R,): positions of the row-end tokens; empty where the layout has none."""


class FrameSelection(Spec):
    """The part of a video that is looked at: how many frames at the most, and the sampler that chooses them."""

    frames: Frames = 8
    """The most frames per video; shorter ones are padded in time, except with samplings that say otherwise."""
    sampling: Annotated[str | SamplerSpec, _SamplingMarker()] = "reference"
    """Which frames: `reference` (Video-Panda: one per second, thinned to `frames`), `uniform` (Video-LLaVA: first to
    last), `segment-midpoint` (Video-ChatGPT), `segment-centre` (PLLaVA), `one-fps` (Chat-UniVi), or any sampler with
    options: `{type: fps, fps: 1, max_frames: 16}`."""

    @model_validator(mode="after")
    def _take_frames_of_sampler(self) -> Self:
        if isinstance(self.sampling, str):
            return self
        stated = self.sampling.max_positions
        if stated is not None and stated != self.frames:
            if "frames" in self.model_fields_set:
                raise ValueError(f"frames is {self.frames}, but sampling {self.sampling.type} gives at most {stated}; "
                                 "make both the same, or leave `frames` out")  # fmt: skip
            object.__setattr__(self, "frames", stated)  # the only one of these objects, which are frozen for others
        return self

    @property
    def sampler(self) -> SamplerSpec:
        """The sampler that `sampling` names. A ValidationError where no plugin offers it."""
        if isinstance(self.sampling, SamplerSpec):
            return self.sampling
        return _Named.model_validate({"sampling": self.sampling}).sampling

    def slots(self, num_frames_present: int) -> int:
        """Return T, the frames of a video with padding in time, of which so many hold a picture."""
        return self.frames if self.sampler.pads else num_frames_present


class Canvas(Spec):
    """The square that pictures are fitted on, and their normalization. The defaults are Video-Panda's."""

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
    def _divides(self) -> Self:
        if self.fit == "pad" and self.size % self.multiple:
            raise ValueError(f"size {self.size} is not a multiple of {self.multiple} (`multiple`)")
        return self

    def place(self, width: int, height: int) -> Fit:
        """Return where a picture of width x height pixels goes on the canvas.

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

    def content_box(self, width: int, height: int) -> Box:
        """Return top, bottom, left and right of a picture of width x height pixels inside its padding."""
        fit = self.place(width, height)
        top, left = max(fit.top, 0), max(fit.left, 0)
        return top, min(fit.top + fit.height, self.size), left, min(fit.left + fit.width, self.size)


class VideoInput(Canvas, FrameSelection):
    """The frames that an aligner wants, and the canvas that they are fitted on. The defaults are Video-Panda's."""

    @model_validator(mode="after")
    def _is_not_too_large(self) -> Self:
        if (pixels := self.frames * self.size**2) > MOST_PIXELS:
            raise ValueError(
                f"{self.frames:,} frames of {self.size:,}x{self.size:,} are {pixels:,} pixels, expected at most "
                f"{MOST_PIXELS:,}; lower `frames` or `size`"
            )
        return self

    def shape(self, width: int, height: int, num_frames_present: int | None = None) -> VideoShape:
        """Return the fitted shape of a video of width x height pixels with so many sampled frames (None: `frames`)."""
        count = self.frames if num_frames_present is None else num_frames_present
        return VideoShape(self.slots(count), self.size, self.size, self.content_box(width, height), count)

    def sampled_by(self, sampling: str | Mapping[str, Any]) -> VideoInput:
        """Return the same canvas and number of frames with another sampler. A ValidationError where it is none."""
        return VideoInput.model_validate({**self.model_dump(), "sampling": sampling})

    def with_sampler(self) -> VideoInput:
        """Return the same, its sampler looked up: with its options, unless it is a fixed one, which keeps its name.

        A ValidationError where no plugin offers it.
        """
        found = self.sampler
        if found is self.sampling or found.fixed:
            return self
        return VideoInput.model_validate(self.model_dump(exclude_unset=True) | {"sampling": found})


class VideoComponentSpec(ComponentSpec):
    """A component that wants pixels."""

    input: Canvas = Canvas()
    """The canvas that pictures are fitted on."""

    @field_validator("input", mode="before")
    @classmethod
    def _keep_own_defaults(cls, value: object) -> object:
        """`input: {size: 224}` changes the size and leaves the rest as the component has it."""
        if not isinstance(value, Mapping):
            return value
        own = cls.model_fields["input"].default.model_dump()
        if "frames" not in value and _states_frames(value.get("sampling")):
            own.pop("frames", None)
        return {**own, **value}


def _states_frames(sampling: object) -> bool:
    """Tell whether a sampler, as a spec gives it, has options that say how many frames there may be."""
    try:
        return sampling is not None and _Named.model_validate({"sampling": sampling}).sampling.max_positions is not None
    except ValidationError:  # which is said when the whole input is validated
        return False
