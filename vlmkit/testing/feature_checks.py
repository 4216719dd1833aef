"""The checks of downsamplers and of teachers, whose modules turn frames into a grid of features each."""

from __future__ import annotations

import torch
from torch import Tensor

from vlmkit.api.aligner import DownsamplerSpec
from vlmkit.api.modules import Downsampler, Teacher, check_finite
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.errors import PluginError
from vlmkit.testing.module_checks import ModuleChecks, check_gradients, operator_calls

__all__ = ["DownsamplerChecks", "TeacherChecks"]

WIDTH = 32
GRIDS = ((4, 4), (2, 4), (8, 4), (6, 6), (16, 16))
"""Patches that every check of a downsampler may see: height, width."""
FRAMES = 4
"""Frames of a video that a teacher is given, where it takes so many."""


class DownsamplerChecks(ModuleChecks[DownsamplerSpec, Tensor, Downsampler]):
    """Frames (F, H, W, C) become tokens (F, h, w, C)."""

    _inputs, _outputs = "frames", "tokens"

    def _build(self, spec: DownsamplerSpec) -> Downsampler:
        return spec.build(WIDTH).eval()

    def _samples(self, spec: DownsamplerSpec) -> list[Tensor]:
        return [_frames(2, _grids(spec)[0])]

    def _meta_sample(self, spec: DownsamplerSpec) -> Tensor:
        return torch.empty(2, *_grids(spec)[0], WIDTH, device="meta")

    def _run(self, module: Downsampler, inputs: Tensor) -> Tensor:
        reduced: Tensor = module(inputs)
        return reduced

    def grid_is_what_comes_out(self, spec: DownsamplerSpec) -> None:
        """The token grid is the one that `grid` declares."""
        module = self._make(spec)
        for grid in _grids(spec):
            self._run(module, _frames(3, grid))

    def frames_do_not_mix(self, spec: DownsamplerSpec) -> None:
        """Each frame is reduced by itself."""
        module, x = self._make(spec), _frames(3, _grids(spec)[0])
        together, alone = self._run(module, x)[1], self._run(module, x[1:2])[0]
        assert torch.allclose(together, alone, atol=1e-5), f"differs by {(together - alone).abs().max().item()}"

    def gradients_reach_everything(self, spec: DownsamplerSpec) -> None:
        """The input and every trainable parameter get a gradient."""
        module, x = self._make(spec), self._samples(spec)[0].requires_grad_()
        self._run(module, x).square().sum().backward()
        assert x.grad is not None, "the input gets no gradient"
        assert x.grad.flatten(1, 2).any(-1).all(), "some patch has no influence"
        check_gradients(module)

    def does_not_loop(self, spec: DownsamplerSpec) -> None:
        """The number of operator calls does not grow with the frames."""
        module, grid = self._make(spec), _grids(spec)[0]
        few, many = _frames(1, grid), _frames(5, grid)
        calls = operator_calls(lambda: self._run(module, few)), operator_calls(lambda: self._run(module, many))
        assert calls[0] == calls[1], f"{calls[0]} operator calls for 1 frame, {calls[1]} for 5"


def _grids(spec: DownsamplerSpec) -> list[tuple[int, int]]:
    """Those of `GRIDS` that the downsampler takes."""
    taken = []
    for grid in GRIDS:
        try:
            spec.grid(*grid)
        except PluginError:
            raise
        except ValueError:
            continue
        taken.append(grid)
    assert taken, f"it refuses all of the grids {GRIDS}"
    return taken


def _frames(count: int, grid: tuple[int, int]) -> Tensor:
    return torch.randn(count, *grid, WIDTH, generator=torch.Generator().manual_seed(1))


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

    def _run(self, module: Teacher, inputs: VideoBatch) -> Tensor:
        features: Tensor = module(inputs)
        return features

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
        gap = (together - alone).abs().max().item()
        assert gap <= 1e-4 * max(1.0, alone.abs().max().item()), f"features differ by {gap} in a batch"

    def does_not_loop(self, spec: TeacherSpec) -> None:
        """The number of operator calls grows neither with the batch nor with the frames."""
        teacher, frames = self._make(spec), _slots(spec)
        fewer = frames // 2 if frames > 3 else frames  # a single frame may take another way
        batches = {size: _videos(spec, *size) for size in ((1, frames), (3, frames), (1, fewer))}
        calls = {size: operator_calls(lambda v=v: self._run(teacher, v)) for size, v in batches.items()}  # type: ignore[misc]
        assert len(set(calls.values())) == 1, f"operator calls by (videos, frames): {calls}"


def _slots(spec: TeacherSpec) -> int:
    return min(FRAMES, spec.frame_limit or FRAMES)


def _videos(spec: TeacherSpec, count: int, frames: int | None = None) -> VideoBatch:
    generator = torch.Generator().manual_seed(1)
    side = spec.input.size
    return VideoBatch.full(torch.randn(count, frames or _slots(spec), 3, side, side, generator=generator))
