"""Videos as numbers, without tensors: which frames a component wants, on what canvas, and what tokens come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import GetCoreSchemaHandler, ValidationError, field_validator, model_validator
from pydantic_core import CoreSchema

from vlmkit.api.bounds import MOST_PIXELS, Frames
from vlmkit.api.canvas import Box, Canvas, own_options
from vlmkit.api.sampler import SamplerSpec
from vlmkit.api.spec import ComponentSpec, Slot, SlotMarker, Spec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "FrameSelection",
    "TokenLayout",
    "VideoComponentSpec",
    "VideoInput",
    "VideoShape",
]


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
    parts: npt.NDArray[np.int64] | None = None
    """(P,): lengths of the parts of the sequence, one for each `<video>` of `AlignerSpec.wrap`. None: one part."""

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of the parts, which together are `tokens`."""
        return (self.tokens,) if self.parts is None else tuple(self.parts.tolist())


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


class VideoInput(Canvas, FrameSelection):
    """The frames that an aligner wants, and the canvas that they are fitted on. The defaults are Video-Panda's."""

    @model_validator(mode="after")
    def _is_not_too_large(self) -> Self:
        if (pixels := self.frames * self.most_pixels) > MOST_PIXELS:
            each = f"{self.size:,}x{self.size:,}" if self.max_pixels is None else f"{self.max_pixels:,} pixels"
            raise ValueError(
                f"{self.frames:,} frames of {each} are {pixels:,} pixels, expected at most {MOST_PIXELS:,}; lower "
                f"`frames` or `{'size' if self.max_pixels is None else 'max_pixels'}`"
            )
        return self

    def shape(self, width: int, height: int, num_frames_present: int | None = None) -> VideoShape:
        """Return the fitted shape of a video of width x height pixels with so many sampled frames (None: `frames`)."""
        count = self.frames if num_frames_present is None else num_frames_present
        return VideoShape(self.slots(count), *self.sides(width, height), self.content_box(width, height), count)

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

    takes_any_canvas: ClassVar[bool] = False
    """True: it takes canvases of any sides, of which a batch has the largest (`fit` area and pixels)."""
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
        return {**own_options(own, value.get("fit")), **value}

    @field_validator("input")
    @classmethod
    def _takes_the_canvas(cls, value: Canvas) -> Canvas:
        if not (cls.takes_any_canvas or value.is_square):
            raise ValueError(
                f"fit {value.fit} gives each video a canvas of its own, but this {cls.kind} takes squares only; "
                "expected fit pad, crop or squash"
            )
        return value


def _states_frames(sampling: object) -> bool:
    """Tell whether a sampler, as a spec gives it, has options that say how many frames there may be."""
    try:
        return sampling is not None and _Named.model_validate({"sampling": sampling}).sampling.max_positions is not None
    except ValidationError:  # which is said when the whole input is validated
        return False
