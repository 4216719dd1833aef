"""The kind `teacher`: features that the LLM's hidden states of the visual tokens learn to resemble."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

from vlmkit.api.contract import Promise, Promises, builds, check_int, check_optional_int, check_sides
from vlmkit.api.video import VideoComponentSpec, VideoInput

if TYPE_CHECKING:
    from vlmkit.api.modules import Teacher

__all__ = ["TeacherSpec"]


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

    input: VideoInput = VideoInput(size=224, multiple=14)
    """The pixels it wants. Frames and sampling are the aligner's: a video is decoded once and fitted for each."""

    cache: str | None = None
    """Folder where the features of each video are kept, so that a video seen again costs no forward; None: nowhere."""

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
        """The module, freshly initialised; `Teacher.load_pretrained` then takes outside weights.

        Whoever calls it gets a frozen teacher, and one that keeps its features where `cache` says so.
        """
        raise NotImplementedError
