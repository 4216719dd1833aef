"""The checks of teachers."""

from __future__ import annotations

import torch

from vlmkit.api.modules import Teacher
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.tensor_checks import check_finite
from vlmkit.api.tensors import VideoBatch
from vlmkit.errors import PluginError
from vlmkit.testing.module_checks import ModuleChecks, check_close, operator_calls

__all__ = ["TeacherChecks"]

FRAMES = 4
"""Frames of a video that a teacher is given, where it takes so many."""
MOST_FRAMES = 64
"""It should take videos of some number of frames up to this."""


class TeacherChecks(ModuleChecks[TeacherSpec, VideoBatch, Teacher]):
    """Videos (B, T, 3, H, W) become features (B, T, h, w, C)."""

    _inputs, _outputs = "video", "features"

    def _build(self, spec: TeacherSpec) -> Teacher:
        """The teacher itself, without the cache of its features."""
        return spec.model_copy(update={"cache": None}).build()

    def _samples(self, spec: TeacherSpec) -> list[VideoBatch]:
        return [_videos(spec, 1)]

    def _meta_sample(self, spec: TeacherSpec) -> VideoBatch:
        side = spec.input.size
        return VideoBatch.full(torch.empty(2, _slots(spec), 3, side, side, device="meta"))

    def features_are_as_declared(self, spec: TeacherSpec) -> None:
        """Shape by `grid` and `width`; finite."""
        check_finite(self._run(self._make(spec), _videos(spec, 2)), "features")

    def is_frozen(self, spec: TeacherSpec) -> None:
        """No trainable parameter, no gradient, no training mode, whatever is asked."""
        teacher = self._make(spec)
        assert not any(parameter.requires_grad for parameter in teacher.parameters()), "a parameter is trainable"
        teacher.train()
        assert not any(module.training for module in teacher.modules()), "train() puts it into training mode"
        (video,) = self._samples(spec)
        features = self._run(teacher, VideoBatch(video.pixels.requires_grad_(), video.content_box, video.frame_mask))
        assert not features.requires_grad, "its features carry a gradient"

    def videos_do_not_mix(self, spec: TeacherSpec) -> None:
        """A video has the same features alone and in a batch."""
        teacher, videos = self._make(spec), _videos(spec, 2)
        together = self._run(teacher, videos)[1]
        alone = self._run(teacher, VideoBatch(videos.pixels[1:], videos.content_box[1:], videos.frame_mask[1:]))[0]
        check_close(together, alone, "features")

    def does_not_loop(self, spec: TeacherSpec) -> None:
        """The number of operator calls grows neither with the batch nor with the frames."""
        teacher, frames = self._make(spec), _slots(spec)
        fewer = frames // 2 if frames > 3 and _takes(spec, frames // 2) else frames  # one may take another way
        batches = {size: _videos(spec, *size) for size in ((1, frames), (3, frames), (1, fewer))}
        calls = {size: operator_calls(lambda v=v: self._run(teacher, v)) for size, v in batches.items()}  # type: ignore[misc]
        assert len(set(calls.values())) == 1, f"operator calls by (videos, frames): {calls}"


def _slots(spec: TeacherSpec) -> int:
    counts = (*range(FRAMES, 0, -1), *range(FRAMES + 1, MOST_FRAMES + 1))
    found = next((count for count in counts if _takes(spec, count)), None)
    assert found is not None, f"it takes no videos of 1 to {MOST_FRAMES} frames"
    return found


def _takes(spec: TeacherSpec, frames: int) -> bool:
    try:
        spec.check_frames(frames)
    except PluginError:
        raise
    except ValueError:
        return False
    return True


def _videos(spec: TeacherSpec, count: int, frames: int | None = None) -> VideoBatch:
    generator = torch.Generator().manual_seed(1)
    side = spec.input.size
    return VideoBatch.full(torch.randn(count, frames or _slots(spec), 3, side, side, generator=generator))
