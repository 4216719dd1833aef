"""The kind `teacher`: features that the LLM's hidden states of the visual tokens learn to resemble."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import ValidationError, field_serializer, field_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from vlmkit.api.contract import Promise, Promises, builds, check_int, check_optional_int, check_sides
from vlmkit.api.video import Canvas, VideoComponentSpec
from vlmkit.errors import shown

if TYPE_CHECKING:
    from vlmkit.api.modules import Teacher

__all__ = ["TeacherSpec"]

_UNUSED: dict[str, Any] = {"frames": 8, "sampling": "reference"}


def _does_nothing(key: str, found: object) -> InitErrorDetails:
    message = "the teacher sees the aligner's frames, so {found} would do nothing; remove it"
    return InitErrorDetails(
        type=PydanticCustomError("unknown_key", message, {"found": shown(found)}), loc=(key,), input=found
    )


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
        "frame_limit": Promise(check_optional_int),
        "width": Promise(check_int),
        "grid": Promise(check_sides, refuses=True),
        "build": builds("vlmkit.api.modules:Teacher", _ready, refuses=True),
    }

    input: Canvas = Canvas(size=224, multiple=14)
    """The canvas that pictures are fitted on. Frames are the aligner's: a video is decoded once and fitted for each."""

    cache: str | None = None
    """Folder where the features of each video are kept, so that a video seen again costs no forward; None: nowhere."""

    @field_validator("input", mode="before")
    @classmethod
    def _keep_own_defaults(cls, value: object) -> object:
        """Refuse frames, except those that resolved specs name here, with no effect."""
        if not isinstance(value, Mapping):
            return value
        own = cls.model_fields["input"].default.model_dump()
        usual = _UNUSED | own
        if meant := [key for key in _UNUSED if value.get(key, usual[key]) != usual[key]]:
            raise ValidationError.from_exception_data(cls.__name__, [_does_nothing(key, value[key]) for key in meant])
        return {**own, **{key: item for key, item in value.items() if key in own or key not in _UNUSED}}

    @field_serializer("input")
    def _write_unused(self, value: Canvas) -> dict[str, Any]:
        """Name frames as resolved specs always did: runs and cached features are known by what they say."""
        return _UNUSED | value.model_dump()

    @property
    def frame_limit(self) -> int | None:
        """The most frames that a video may have; None: any number."""
        return None

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
        raise NotImplementedError
