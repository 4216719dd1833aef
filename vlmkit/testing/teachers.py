"""What every teacher promises. Each check takes a small spec and raises an AssertionError."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmkit.api.modules import Teacher, check_finite
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.testing.counting import operator_calls
from vlmkit.testing.expecting import same_bits

__all__ = ["CHECKS"]

FRAMES = 4


def _make(spec: TeacherSpec, seed: int = 0) -> Teacher:
    """The teacher itself, without the cache of its features."""
    torch.manual_seed(seed)
    return spec.model_copy(update={"cache": None}).build()


def _forward(teacher: Teacher, video: VideoBatch) -> Tensor:
    features: Tensor = teacher(video)
    return features


def _slots(spec: TeacherSpec) -> int:
    return min(FRAMES, spec.frame_limit or FRAMES)


def _videos(spec: TeacherSpec, count: int, frames: int | None = None) -> VideoBatch:
    generator = torch.Generator().manual_seed(1)
    size = spec.input.size
    return VideoBatch.full(torch.randn(count, frames or _slots(spec), 3, size, size, generator=generator))


def features_are_as_declared(spec: TeacherSpec) -> None:
    """Shape by `grid` and `width`; finite."""
    check_finite(_forward(_make(spec), _videos(spec, 2)), "features")


def is_frozen(spec: TeacherSpec) -> None:
    """No trainable parameter, no gradient, no training mode, whatever is asked."""
    teacher = _make(spec)
    assert not any(parameter.requires_grad for parameter in teacher.parameters()), "a parameter is trainable"
    teacher.train()
    assert not any(module.training for module in teacher.modules()), "train() puts it into training mode"
    video = _videos(spec, 1)
    features = _forward(teacher, VideoBatch(video.pixels.requires_grad_(), video.content_box, video.frame_mask))
    assert not features.requires_grad, "its features carry a gradient"


def videos_do_not_mix(spec: TeacherSpec) -> None:
    """A video has the same features alone and in a batch."""
    teacher, videos = _make(spec), _videos(spec, 2)
    together = _forward(teacher, videos)[1]
    alone = _forward(teacher, VideoBatch(videos.pixels[1:], videos.content_box[1:], videos.frame_mask[1:]))[0]
    gap = (together - alone).abs().max().item()
    assert gap <= 1e-4 * max(1.0, alone.abs().max().item()), f"features differ by {gap} in a batch"


def is_deterministic(spec: TeacherSpec) -> None:
    """The same video twice gives the same bits."""
    teacher, video = _make(spec), _videos(spec, 1)
    same_bits(_forward(teacher, video), _forward(teacher, video), "the same video twice")


def bfloat16_is_close(spec: TeacherSpec) -> None:
    """The features of each patch point the same way in bfloat16 as in float32."""
    video = _videos(spec, 1)
    exact = _forward(_make(spec), video)
    rough = _forward(_make(spec).to(torch.bfloat16), video.to(dtype=torch.bfloat16)).float()
    cosine = torch.cosine_similarity(exact, rough, dim=-1).min().item()
    assert cosine > 0.98, f"cosine similarity of a patch falls to {cosine}"


def saving_keeps_every_bit(spec: TeacherSpec) -> None:
    """A second module with the first one's state gives the same bits."""
    first, second, video = _make(spec), _make(spec, seed=1), _videos(spec, 1)
    second.load_state_dict(first.state_dict())
    same_bits(_forward(second, video), _forward(first, video), "a copy's features")


def builds_on_meta(spec: TeacherSpec) -> None:
    """The module can be built and run without memory."""
    with torch.device("meta"):
        teacher = _make(spec)
    elsewhere = [name for name, parameter in teacher.named_parameters() if not parameter.is_meta]
    assert not elsewhere, f"built on the meta device, but elsewhere are {elsewhere}"
    pixels = torch.empty(2, _slots(spec), 3, spec.input.size, spec.input.size, device="meta")
    _forward(teacher, VideoBatch.full(pixels))


def does_not_loop(spec: TeacherSpec) -> None:
    """The number of operator calls grows neither with the batch nor with the frames."""
    teacher = _make(spec)
    frames = _slots(spec)
    fewer = frames // 2 if frames > 3 else frames  # a single frame may take another way
    sizes = ((1, frames), (3, frames), (1, fewer))
    calls = {size: operator_calls(lambda size=size: _forward(teacher, _videos(spec, *size))) for size in sizes}  # type: ignore[misc]
    base = operator_calls(lambda: _videos(spec, 1))
    assert len({count - base for count in calls.values()}) == 1, f"operator calls by (videos, frames): {calls}"


CHECKS = (
    features_are_as_declared,
    is_frozen,
    videos_do_not_mix,
    is_deterministic,
    bfloat16_is_close,
    saving_keeps_every_bit,
    builds_on_meta,
    does_not_loop,
)
