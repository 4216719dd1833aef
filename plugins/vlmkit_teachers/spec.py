"""Options of the teachers that are encoders, and of `hog`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from vlmkit.api import IMAGENET_MEAN, IMAGENET_STD, Canvas, TeacherSpec
from vlmkit.api.bounds import Side, Small
from vlmkit.nn.geometry import check_canvas, check_multiple
from vlmkit_encoders.spec import (
    ClipVisionSpec,
    DinoV2Spec,
    InternVideo2Spec,
    LanguageBindImageSpec,
    LanguageBindVideoSpec,
    VitSpec,
)

if TYPE_CHECKING:
    from vlmkit.api import Teacher

__all__ = [
    "ClipTeacherSpec",
    "DinoV2TeacherSpec",
    "EncoderTeacherSpec",
    "HogSpec",
    "InternVideo2TeacherSpec",
    "LanguageBindImageTeacherSpec",
    "LanguageBindVideoTeacherSpec",
]

_IMAGENET = Canvas(size=224, multiple=14, mean=IMAGENET_MEAN, std=IMAGENET_STD)


class EncoderTeacherSpec(TeacherSpec):
    """A frozen encoder; its features are the patch tokens."""

    path: str | None = None
    """Local folder or hub id of the encoder's weights (short for `encoder.path`); None: random."""
    encoder: VitSpec
    """The encoder's options."""

    @classmethod
    def tiny(cls) -> Self:
        """A tiny encoder for frames of 2x2 patches."""
        encoder: type[VitSpec] = cls.model_fields["encoder"].annotation  # type: ignore[assignment]
        return cls.model_validate({"encoder": encoder.tiny().model_dump(), "input": {"size": 28}})

    @model_validator(mode="before")
    @classmethod
    def _hand_path_on(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("path") is None:
            return data
        encoder = data.get("encoder", {})
        if not isinstance(encoder, Mapping):
            return data
        if encoder.get("path") not in (None, data["path"]):
            raise ValueError(
                f"two weights: `path` is {data['path']!r}, `encoder.path` is {encoder['path']!r}; drop one"
            )
        return {**data, "encoder": {**encoder, "path": data["path"]}}

    @model_validator(mode="after")
    def _fits(self) -> EncoderTeacherSpec:
        self.encoder.check_size(self.input.size)
        check_canvas(self.input, self.encoder.patch)
        return self

    @property
    def frame_limit(self) -> int | None:
        """That of the encoder."""
        return self.encoder.frame_limit

    @property
    def width(self) -> int:
        """C: channels of its features."""
        return self.encoder.width

    def grid(self) -> tuple[int, int]:
        """(h, w) of its features for a canvas of `input.size`."""
        side = self.input.size // self.encoder.patch
        return side, side

    def build(self) -> Teacher:
        """The encoder behind the teacher's interface."""
        from vlmkit_teachers._module import EncoderTeacher

        return EncoderTeacher(self.encoder)


class ClipTeacherSpec(EncoderTeacherSpec):
    """CLIP's vision tower, each frame on its own."""

    type: Literal["clip"] = "clip"
    encoder: ClipVisionSpec = ClipVisionSpec()
    """The encoder's options; by default ViT-L/14 at 224 pixels, the hidden state before the last block."""


class LanguageBindImageTeacherSpec(EncoderTeacherSpec):
    """LanguageBind's image tower, each frame on its own."""

    type: Literal["languagebind-image"] = "languagebind-image"
    encoder: LanguageBindImageSpec = LanguageBindImageSpec()
    """The encoder's options; by default ViT-L/14 at 224 pixels, the hidden state before the last block."""


class LanguageBindVideoTeacherSpec(EncoderTeacherSpec):
    """LanguageBind's video tower, Video-Panda's teacher: a video is one clip, whatever chunks the aligner makes."""

    type: Literal["languagebind-video"] = "languagebind-video"
    encoder: LanguageBindVideoSpec = LanguageBindVideoSpec()
    """The encoder's options; by default ViT-L/14 at 224 pixels, 8 frames, the hidden state before the last block."""


class DinoV2TeacherSpec(EncoderTeacherSpec):
    """DINOv2, each frame on its own: patch tokens after the final norm."""

    type: Literal["dinov2"] = "dinov2"
    input: Canvas = _IMAGENET
    """The canvas that pictures are fitted on. Frames are the aligner's: a video is decoded once and fitted for each."""
    encoder: DinoV2Spec = DinoV2Spec()
    """The encoder's options; by default ViT-L/14."""


class InternVideo2TeacherSpec(EncoderTeacherSpec):
    """InternVideo2's video tower of 1B parameters and width 1408, all frames together."""

    type: Literal["internvideo2"] = "internvideo2"
    input: Canvas = _IMAGENET
    """The canvas that pictures are fitted on. Frames are the aligner's: a video is decoded once and fitted for each."""
    encoder: InternVideo2Spec = InternVideo2Spec()
    """The encoder's options."""


class HogSpec(TeacherSpec):
    """Histograms of oriented gradients (Dalal and Triggs, CVPR 2005) and mean color of each patch. Needs no weights.

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
    """Mean gradient of a cell at which its edges count as much as its flatness, gray levels (0..1) per pixel."""

    @classmethod
    def tiny(cls) -> Self:
        """Frames of 2x2 patches."""
        return cls(input=Canvas(size=28, multiple=14))

    @model_validator(mode="after")
    def _divides(self) -> HogSpec:
        check_canvas(self.input, self.patch)
        check_multiple("patch", self.patch, "the number of cells per side,", self.cells)
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
        from vlmkit_teachers._module import Hog

        return Hog(self)
