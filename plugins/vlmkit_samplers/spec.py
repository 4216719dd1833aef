"""The options of the samplers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from vlmkit.api import Sampler, SamplerSpec
from vlmkit.api.bounds import Frames

__all__ = [
    "FpsSpec", "InteriorPointsSpec", "OneFpsSpec", "ReferenceSpec", "SegmentCentreSpec", "SegmentMiddleSpec",
    "SegmentMidpointSpec", "SegmentStartSpec", "StrideSpec", "UniformSpec",
]  # fmt: skip


class _RuleSpec(SamplerSpec):
    """A rule without options, fixed by the publication that it is from."""

    fixed: ClassVar[bool] = True

    def build(self) -> Sampler:
        """Return the sampler."""
        from vlmkit_samplers._module import RULES, RuleSampler

        return RuleSampler(RULES[self.type])


class ReferenceSpec(_RuleSpec):
    """Video-Panda (arXiv:2412.18609): one frame per second, thinned evenly where these are more than wanted; evenly
    spaced frames where they are fewer."""

    type: Literal["reference"] = "reference"


class UniformSpec(_RuleSpec):
    """Video-LLaVA (arXiv:2311.10122): evenly from the first frame to the last, repeated where the video is shorter."""

    type: Literal["uniform"] = "uniform"


class SegmentMidpointSpec(_RuleSpec):
    """Video-ChatGPT (arXiv:2306.05424): the middle between the rounded ends of each segment; no more segments than
    frames."""

    type: Literal["segment-midpoint"] = "segment-midpoint"


class SegmentCentreSpec(_RuleSpec):
    """PLLaVA (arXiv:2404.16994), VideoChat (arXiv:2305.06355): half a segment behind the rounded start of each segment,
    repeated where the video is shorter."""

    type: Literal["segment-centre"] = "segment-centre"


class SegmentMiddleSpec(_RuleSpec):
    """VideoChat (arXiv:2305.06355, its loader of evaluations): the middle of each of so many equal segments, rounded
    down; of a shorter video every frame, the last one repeated."""

    type: Literal["segment-middle"] = "segment-middle"


class SegmentStartSpec(_RuleSpec):
    """TempCompass (arXiv:2403.00476, script for GPT-4o): the first frame of each of so many equal segments, repeated
    where the video is shorter."""

    type: Literal["segment-start"] = "segment-start"


class StrideSpec(_RuleSpec):
    """Video-LLaMA (arXiv:2306.02858): from the first frame on in equal steps, rounded down; no more than there are."""

    type: Literal["stride"] = "stride"


class InteriorPointsSpec(_RuleSpec):
    """VLMEvalKit (arXiv:2407.11691, dataset/video_base.py): the ends of so many and one more equal segments but for the
    last, repeated where the video is shorter."""

    type: Literal["interior-points"] = "interior-points"


class OneFpsSpec(_RuleSpec):
    """Chat-UniVi (arXiv:2311.08046): one frame per second, thinned evenly where these are more than wanted. A video
    with fewer is not padded. With 65,536 frames, LLaMA-VID's rule (arXiv:2311.17043), which takes all."""

    type: Literal["one-fps"] = "one-fps"

    @property
    def pads(self) -> bool:
        """False."""
        return False


class FpsSpec(SamplerSpec):
    """So many frames per second: the frame that is shown at each step of 1 / `fps` seconds. Where these are too many or
    too few, as many as there may be, evenly spaced in time. A file that does not say its rate gives `max_frames`."""

    type: Literal["fps"] = "fps"
    fps: Annotated[float, Field(gt=0, le=1000)] = 1.0
    """Frames per second."""
    max_frames: Frames = 16
    """The most frames; `input.frames` is the same number."""
    min_frames: Frames = 1
    """The fewest frames, where the video has as many."""
    even: bool = False
    """Take an even number of frames, for encoders that merge them two by two; a video of one frame shows it twice."""
    pad: bool = True
    """Pad videos in time up to `max_frames`, as aligners need it that want a fixed number; false: they are shorter."""

    @model_validator(mode="after")
    def _has_room(self) -> FpsSpec:
        least = max(self.min_frames, 2 if self.even else 1)
        if least > self.max_frames:
            raise ValueError(f"max_frames is {self.max_frames}, expected at least {least}, as min_frames and even ask")
        return self

    @property
    def max_positions(self) -> int | None:
        """`max_frames`."""
        return self.max_frames

    @property
    def pads(self) -> bool:
        """`pad`."""
        return self.pad

    def build(self) -> Sampler:
        """Return the sampler."""
        from vlmkit_samplers._module import FpsSampler

        return FpsSampler(self)
