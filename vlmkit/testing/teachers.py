"""What every teacher promises. Each check takes a small spec and raises an AssertionError."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmkit.api.modules import Teacher
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.testing.counting import operator_calls

__all__ = ["CHECKS"]

FRAMES = 4


def _make(spec: TeacherSpec) -> Teacher:
    torch.manual_seed(0)
    return spec.build()


def _videos(spec: TeacherSpec, count: int, frames: int = FRAMES) -> VideoBatch:
    generator = torch.Generator().manual_seed(1)
    size = spec.input.size
    return VideoBatch.full(torch.randn(count, frames, 3, size, size, generator=generator))


def features_are_as_declared(spec: TeacherSpec) -> None:
    """Shape by `grid` and `width`; finite."""
    features: Tensor = _make(spec)(_videos(spec, 2))
    assert tuple(features.shape) == (2, FRAMES, *spec.grid(), spec.width), f"found {tuple(features.shape)}"
    assert torch.isfinite(features).all(), "not finite"


def is_frozen(spec: TeacherSpec) -> None:
    """No trainable parameter, no gradient, no training mode, whatever is asked."""
    teacher = _make(spec)
    assert not any(parameter.requires_grad for parameter in teacher.parameters()), "a parameter is trainable"
    teacher.train()
    assert not any(module.training for module in teacher.modules()), "train() puts it into training mode"
    video = _videos(spec, 1)
    features = teacher(VideoBatch(video.pixels.requires_grad_(), video.content, video.frames))
    assert not features.requires_grad, "its features carry a gradient"


def videos_do_not_mix(spec: TeacherSpec) -> None:
    """A video has the same features alone and in a batch."""
    teacher, videos = _make(spec), _videos(spec, 2)
    together = teacher(videos)[1]
    alone = teacher(VideoBatch(videos.pixels[1:], videos.content[1:], videos.frames[1:]))[0]
    gap = (together - alone).abs().max().item()
    assert gap <= 1e-4 * max(1.0, alone.abs().max().item()), f"features differ by {gap} in a batch"


def is_deterministic(spec: TeacherSpec) -> None:
    """The same video twice gives the same bits."""
    teacher, video = _make(spec), _videos(spec, 1)
    assert torch.equal(teacher(video), teacher(video))


def builds_on_meta(spec: TeacherSpec) -> None:
    """The module can be built without memory."""
    with torch.device("meta"):
        teacher = spec.build()
    assert all(parameter.is_meta for parameter in teacher.parameters())


def does_not_loop(spec: TeacherSpec) -> None:
    """The number of operator calls grows neither with the batch nor with the frames."""
    teacher = _make(spec)
    sizes = ((1, FRAMES), (3, FRAMES), (1, FRAMES // 2))
    calls = {size: operator_calls(lambda size=size: teacher(_videos(spec, *size))) for size in sizes}  # type: ignore[misc]
    base = operator_calls(lambda: _videos(spec, 1))
    assert len({count - base for count in calls.values()}) == 1, f"operator calls by (videos, frames): {calls}"


CHECKS = (features_are_as_declared, is_frozen, videos_do_not_mix, is_deterministic, builds_on_meta, does_not_loop)
