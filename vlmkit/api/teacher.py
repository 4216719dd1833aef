"""The kind `teacher`: features that the LLM's hidden states of the visual tokens learn to resemble."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import ModelWrapValidatorHandler, PrivateAttr, field_serializer, field_validator, model_validator

from vlmkit.api.canvas import Canvas
from vlmkit.api.contract import Promise, Promises, builds, check_int, check_none, check_optional_int, check_sides
from vlmkit.api.video import VideoComponentSpec

if TYPE_CHECKING:
    from vlmkit.api.modules import Teacher

__all__ = ["TeacherSpec"]

_FRAMES: dict[str, Any] = {"frames": 8, "sampling": "reference"}
"""Resolved specs name these in a teacher's `input` where a file names none: it once had frames, which did nothing."""


def _ready(spec: TeacherSpec, teacher: Teacher) -> Teacher:
    """Frozen, and behind the cache of its features where the spec names a folder."""
    teacher.freeze()
    if spec.cache is None:
        return teacher
    from vlmkit.api.teacher_cache import CachedTeacher

    return CachedTeacher(teacher, spec)


class TeacherSpec(VideoComponentSpec):
    """Options of a teacher."""

    kind: ClassVar[str] = "teacher"
    _promises: ClassVar[Promises] = {
        "check_frames": Promise(check_none, refuses=True),
        "frame_limit": Promise(check_optional_int),
        "width": Promise(check_int),
        "grid": Promise(check_sides, refuses=True),
        "build": builds("vlmkit.api.modules:Teacher", _ready, refuses=True),
    }

    input: Canvas = Canvas(size=224, multiple=14)
    """The canvas that pictures are fitted on. Frames are the aligner's: a video is decoded once and fitted for each."""

    cache: str | None = None
    """Folder where the features of each video are kept, so that a video seen again costs no forward; None: nowhere."""

    _ignored_frames: dict[str, Any] = PrivateAttr(default_factory=dict)

    @field_validator("input", mode="before")
    @classmethod
    def _keep_own_defaults(cls, value: object) -> object:
        """Leave out frames, which `_remember_frames` has seen."""
        if not isinstance(value, Mapping):
            return value
        own = cls.model_fields["input"].default.model_dump()
        return {**own, **{key: item for key, item in value.items() if key in own or key not in _FRAMES}}

    @model_validator(mode="wrap")
    @classmethod
    def _remember_frames(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        spec = handler(value)
        if isinstance(value, Mapping) and isinstance(named := value.get("input"), Mapping):
            usual = _FRAMES | cls.model_fields["input"].default.model_dump()
            spec._ignored_frames = {key: named[key] for key in _FRAMES if key in named and named[key] != usual[key]}
        return spec

    @field_serializer("input")
    def _write_frames(self, value: Canvas) -> dict[str, Any]:
        """Name frames as ever: runs and cached features are told apart by what their specs say."""
        return _FRAMES | value.model_dump() | self._ignored_frames

    @property
    def ignored_frames(self) -> dict[str, Any]:
        """The `frames` and `sampling` that `input` names, unless by default: the aligner's are looked at instead."""
        return self._ignored_frames

    @property
    def frame_limit(self) -> int | None:
        """The most frames that a video may have; None: any number."""
        return None

    def check_frames(self, frames: int) -> None:
        """Raise a ValueError where videos of so many frames, those of the aligner that learns, do not fit."""
        if self.frame_limit is not None and frames > self.frame_limit:
            raise ValueError(
                f"the teacher takes at most {self.frame_limit} frames, the aligner gives {frames}; lower the aligner's "
                "input.frames"
            )

    @property
    @abstractmethod
    def width(self) -> int:
        """C: channels of its features."""

    @abstractmethod
    def grid(self) -> tuple[int, int]:
        """(h, w) of its features for a canvas of `input.size`."""

    @abstractmethod
    def build(self) -> Teacher:
        """The module, freshly initialized; `Teacher.load_pretrained` then takes outside weights.

        Whoever calls it gets a frozen teacher, and one that keeps its features where `cache` says so.
        """
