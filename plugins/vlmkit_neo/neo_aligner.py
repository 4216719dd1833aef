"""Options of the aligner `neo`. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from vlmkit.api import IMAGENET_MEAN, IMAGENET_STD, AlignerSpec, TokenLayout, VideoInput, VideoShape
from vlmkit.api.bounds import Channels, Side
from vlmkit.nn.geometry import check_canvas

if TYPE_CHECKING:
    from vlmkit.api import Aligner
    from vlmkit.nn import PictureBlocks

__all__ = ["NeoAlignerSpec"]

_VIDEO = VideoInput(
    frames=64, sampling="one-fps", fit="pixels", multiple=32, min_pixels=4 * 32**2, max_pixels=640 * 360,
    mean=IMAGENET_MEAN, std=IMAGENET_STD,
)  # fmt: skip
_VIDEO_TAG = "<video>"
_FIELDS = ("begin", "end", "frames", "rate")
"""Of an opening."""


class NeoAlignerSpec(AlignerSpec):
    """NEO's patch embedding (arXiv:2510.14979, code EvolvingLMMs-Lab/NEO) on each frame of a video, of any sides.

    Patches, turned by their row and column (rotary positions of the features), then one token of 2x2 patches, row by
    row. The defaults are those of NEO-ov's evaluation on videos, whose prompts say when each frame is shown.
    """

    type: Literal["neo"] = "neo"
    takes_any_canvas: ClassVar[bool] = True
    special_tokens: ClassVar[tuple[str, ...]] = ("<img>", "</img>")
    input: VideoInput = _VIDEO
    """The frames it wants, and the canvas that they are fitted on: sides are multiples of two patches."""
    width: Channels = 1024
    """Channels of the patches, a multiple of 4: half of them are turned by the column, half by the row."""
    patch: Side = 16
    """Side of a patch, pixels. A token is 2x2 of them."""
    theta: Annotated[float, Field(gt=0, le=1e9)] = 10000.0
    """Base of the wavelengths of the rotary positions. NEO's training script has 1000."""
    times: bool = True
    """Each frame stands behind its minutes and seconds, `[mm:ss.ss]:`. NEO-ov's evaluation on MVBench does without."""
    opening: Annotated[str, Field(max_length=1000)] = ""
    """A line before the frames, as NEO-ov's evaluations on long videos have one (its words are not among what this was
    written from), where the times of two frames or more are known: `{begin}` and `{end}` become the minutes and seconds
    of the first and last frame, `{frames}` their number, `{rate}` the frames per second."""

    @classmethod
    def tiny(cls) -> Self:
        """Up to 2 frames of up to 1024 pixels, 8x8 for a token."""
        canvas = {"frames": 2, "multiple": 8, "min_pixels": 256, "max_pixels": 1024}
        return cls.model_validate({"width": 16, "patch": 4, "input": canvas})

    @model_validator(mode="after")
    def _cells_fit(self) -> Self:
        if self.width % 4:
            raise ValueError(f"width is {self.width}, expected a multiple of 4: pairs of channels by column and by row")
        check_canvas(self.input, 2 * self.patch)
        return self

    @field_validator("opening")
    @classmethod
    def _opening_has_known_fields(cls, value: str) -> str:
        if unknown := sorted(set(re.findall(r"{(\w*)}", value)) - set(_FIELDS)):
            raise ValueError(f"holds {{{unknown[0]}}}, expected {', '.join(f'{{{name}}}' for name in _FIELDS)} alone")
        if _VIDEO_TAG in value:
            raise ValueError(f"holds {_VIDEO_TAG}, expected words alone: the frames stand behind it")
        return value

    def blocks(self) -> PictureBlocks:
        """The order of the tokens."""
        from vlmkit.nn import PictureBlocks

        return PictureBlocks(2 * self.patch)

    def layout(self, video: VideoShape) -> TokenLayout:
        """The positions of the tokens of one video, of which each frame is a part."""
        import numpy as np

        layout, count = self.blocks().layout(video), video.num_frames_present
        return replace(layout, parts=np.full(count, layout.tokens // count, np.int64))

    def wrap(self, times: Sequence[float]) -> str:
        """The opening, and a line for each frame: its tokens between marks, behind its time where that is known."""
        lines = [f"{self._said(time)}<img>{_VIDEO_TAG}</img>" for time in times]
        known = len(times) > 1 and times[-1] > times[0]  # no comparison holds for NaN
        if self.opening and known:
            rate = (len(times) - 1) / (times[-1] - times[0])
            values = (_clock(times[0]), _clock(times[-1]), str(len(times)), f"{rate:.4g}")
            fields = dict(zip(_FIELDS, values, strict=True))
            lines.insert(0, re.sub(r"{(\w*)}", lambda field: fields[field[1]], self.opening))
        return "\n".join(lines)

    def _said(self, seconds: float) -> str:
        return "" if math.isnan(seconds) or not self.times else f"[{_clock(seconds)}]:"

    def build(self, llm_width: int) -> Aligner:
        """Build the module."""
        from vlmkit_neo._neo_aligner import NeoAligner

        return NeoAligner(self, llm_width)


def _clock(seconds: float) -> str:
    """Return `mm:ss.ss`."""
    minutes, hundredths = divmod(round(100 * seconds), 6000)
    return f"{minutes:02d}:{hundredths / 100:05.2f}"
