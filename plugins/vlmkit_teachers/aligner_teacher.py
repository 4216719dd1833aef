"""Options of the teacher `aligner`. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import ValidationError, model_validator

from vlmkit.api import AlignerSpec, Canvas, Slot, Spec, TeacherSpec
from vlmkit.api.bounds import Channels
from vlmkit.api.trained_model import find_aligner
from vlmkit_stab.spec import StabSpec

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from vlmkit.api import Teacher

__all__ = ["AlignerTeacherSpec"]


class _Taught(Spec):
    """Looks an aligner up."""

    aligner: Slot[AlignerSpec]


class AlignerTeacherSpec(TeacherSpec):
    """The aligner of a trained model: the tokens that it gives the patches (self-distillation, arXiv:1805.04770).

    What it takes from `path` is written into the resolved spec: a run whose teacher is gone can still be read. Weights,
    in float32, are those of the aligner alone; the language model's are not read.
    """

    type: Literal["aligner"] = "aligner"
    path: str | None = None
    """Folder of a run that is trained, or of a saved model, from where vlmkit is started; None: drawn weights."""
    aligner: Slot[AlignerSpec]
    """The aligner's options. Taken from `path`."""
    llm_width: Channels
    """C: channels of its tokens, the width of the LLM that it was trained with. Taken from `path`."""
    checksum: str | None = None
    """Checksum of the model's weights: others at the same `path` are another teacher. Taken from `path`."""
    input: Canvas = Canvas(size=224, multiple=14)
    """The canvas that the aligner was trained on. Taken from its options, and no other fits. Frames are those of the
    aligner that learns, no more than this one has learned from."""

    @classmethod
    def tiny(cls) -> Self:
        """Video-Panda's tiny aligner: 8 frames of 4x4 tokens."""
        return cls.model_validate({"aligner": StabSpec.tiny().model_dump(), "llm_width": 32})

    @model_validator(mode="before")
    @classmethod
    def _take_from_path(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        data = {**_found_at(data), **data}
        try:
            aligner = _Taught.model_validate({"aligner": data.get("aligner")}).aligner
        except ValidationError:  # said of the field itself
            return data
        named = data.get("input", {})
        return {**data, "input": {**_canvas(aligner), **named}} if isinstance(named, Mapping) else data

    @model_validator(mode="after")
    def _fits(self) -> AlignerTeacherSpec:
        if differ := [key for key, value in _canvas(self.aligner).items() if getattr(self.input, key) != value]:
            keys = ", ".join(f"input.{key}" for key in differ)
            raise ValueError(
                f"{keys}: expected the canvas that the aligner was trained on, found another; remove what `input` says"
            )
        if self.aligner.text_input is not None:
            raise ValueError(
                f"the aligner {self.aligner.address!r} reads text, and a teacher sees videos alone; take another one"
            )
        if (self._patches(self.aligner.input.frames) < 0).any():
            raise ValueError(
                f"the aligner {self.aligner.address!r} has patches without a token that stands for them, so it cannot "
                "say of each place what is there; take another teacher"
            )
        return self

    @property
    def frame_limit(self) -> int | None:
        """Those that the aligner was trained with."""
        return self.aligner.input.frames

    def check_frames(self, frames: int) -> None:
        """Raise a ValueError where the teaching aligner takes no videos of so many frames."""
        super().check_frames(frames)
        try:
            self._patches(frames)
        except ValueError as error:
            raise ValueError(
                f"the teacher does not take videos of {frames} frames, which the aligner gives ({error}); "
                "change the aligner's input.frames"
            ) from None

    @property
    def width(self) -> int:
        """C: channels of its features."""
        return self.llm_width

    def grid(self) -> tuple[int, int]:
        """(h, w) of its features for a canvas of `input.size`."""
        height, width = self._patches(self.aligner.input.frames).shape[1:]
        return height, width

    def build(self) -> Teacher:
        """The aligner behind the teacher's interface."""
        from vlmkit_teachers._module import AlignerTeacher

        return AlignerTeacher(self)

    def _patches(self, frames: int) -> npt.NDArray[np.int64]:
        """(T, h, w): the token of each cell of a square video."""
        shape = self.aligner.input.shape(1, 1)._replace(frames=frames, num_frames_present=frames)
        return self.aligner.layout(shape).patches


def _canvas(aligner: AlignerSpec) -> dict[str, Any]:
    """Return the canvas of an aligner as plain data."""
    return {key: getattr(aligner.input, key) for key in Canvas.model_fields}


def _found_at(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that the model at `path` decides, unless all of them are named already."""
    path = options.get("path")
    if path is None and "aligner" not in options:
        raise ValueError(
            "expected `path`, a run or saved model whose aligner teaches, or its options as `aligner` and `llm_width`; "
            "found neither; give a `path`, e.g. runs/quickstart"
        )
    if not isinstance(path, str) or {"aligner", "llm_width", "checksum"} <= options.keys():
        return {}
    found = find_aligner(path)
    return {"aligner": found.spec, "llm_width": found.llm_width, "checksum": found.checksum}
