"""Options of the teacher `hog`. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api import TeacherSpec, VideoInput
from vlmkit.api.bounds import Side, Small

if TYPE_CHECKING:
    from vlmkit.api import Teacher

__all__ = ["HogSpec"]


class HogSpec(TeacherSpec):
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) and mean colour of each patch. Needs no weights.

    The channels of a patch are, for each of its cells, the orientation bins and one for flatness; then, for each of R,
    G and B, two that tell its mean. All lie in 0..1, and every patch has the norm 2: `cosine` and `mse` weigh alike.
    """

    type: Literal["hog"] = "hog"
    patch: Side = 14
    """Side of a patch, pixels."""
    cells: Annotated[int, Field(gt=0, le=64)] = 1
    """Histograms per side of a patch."""
    orientations: int = Field(default=9, ge=2, le=360)
    """Bins of a histogram over the half circle; bin 0 is a horizontal gradient, that is a vertical edge."""
    contrast: Small = 0.02
    """Mean gradient of a cell at which its edges count as much as its flatness, grey levels (0..1) per pixel."""

    @classmethod
    def tiny(cls) -> Self:
        """Frames of 2x2 patches."""
        return cls(input=VideoInput(size=28, multiple=14))

    @model_validator(mode="after")
    def _divides(self) -> HogSpec:
        if self.input.size % self.patch:
            raise ValueError(f"input.size {self.input.size} is not a multiple of the patch side {self.patch} (`patch`)")
        if self.patch % self.cells:
            raise ValueError(f"patch {self.patch} is not a multiple of the number of cells per side, {self.cells}")
        if self.input.fit == "pad" and self.input.multiple % self.patch:
            raise ValueError(f"input.multiple {self.input.multiple} is not a multiple of the patch side {self.patch}")
        return self

    @property
    def width(self) -> int:
        """C: channels of its features."""
        return self.cells**2 * (self.orientations + 1) + 6

    def grid(self) -> tuple[int, int]:
        """(h, w) of its features for a canvas of `input.size`."""
        side = self.input.size // self.patch
        return side, side

    def build(self) -> Teacher:
        """The teacher; it has no parameters."""
        from ._hog import Hog

        return Hog(self)
