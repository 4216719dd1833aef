"""A pass on the meta device: whether what the components give is what their specs declare, before any weight loads."""

from __future__ import annotations

import torch

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.contract import Broken
from vlmkit.api.modules import Teacher, check_language
from vlmkit.api.teacher import TeacherSpec
from vlmkit.api.tensors import VideoBatch
from vlmkit.api.video import VideoShape
from vlmkit.errors import PluginError
from vlmkit.guard import fault, guarded
from vlmkit.model.size import check_size, composing
from vlmkit.model.videolm import VideoLM
from vlmkit.spec.checks import ASPECTS
from vlmkit.spec.experiment import ModelSpec

__all__ = ["try_out", "try_out_teacher"]


def try_out(model: VideoLM, spec: ModelSpec) -> None:
    """Padded videos and one with a frame less through the aligner, two positions through the language model.

    Args:
        model: on the meta device.
        spec: what it was composed of.

    Raises:
        PluginError: what comes out has another shape than `layout`, `width` or `layers` say.
    """
    with torch.no_grad():
        with composing("model.aligner"):
            model.aligner(_videos(spec.aligner))
        _try_language(model, spec)


def _videos(spec: AlignerSpec) -> VideoBatch:
    """One of each aspect, and one with a frame less where the aligner takes it."""
    shapes = [spec.input.shape(*sides) for sides in ASPECTS.values()]
    fewer = spec.input.shape(1, 1, max(1, spec.input.frames - 1))
    if _takes(spec, fewer._replace(frames=shapes[0].frames)):
        shapes.append(fewer)
    slots = shapes[0].frames
    pixels = torch.empty(len(shapes), slots, 3, shapes[0].height, shapes[0].width, device="meta")
    frames = torch.arange(slots) < torch.tensor([[shape.num_frames_present] for shape in shapes])
    return VideoBatch(pixels, torch.tensor([shape.content_box for shape in shapes]), frames)


def _takes(spec: AlignerSpec, shape: VideoShape) -> bool:
    try:
        spec.layout(shape)
    except PluginError:
        raise
    except ValueError:
        return False
    return True


def _try_language(model: VideoLM, spec: ModelSpec) -> None:
    dtype = next(model.get_input_embeddings().parameters()).dtype
    with torch.device("meta"):
        # Of a mask with four axes transformers does not ask for the values, which there are none of here.
        inputs = {
            "inputs_embeds": torch.empty(1, 2, spec.backbone.width, dtype=dtype),
            "attention_mask": torch.empty(1, 1, 2, 2, dtype=dtype),
            "position_ids": torch.empty(1, 2, dtype=torch.int64),
        }
    with guarded(spec.backbone, "forward"):
        try:
            output = model.backbone(**inputs, use_cache=False, output_hidden_states=True, return_dict=True)
        except (NotImplementedError, RuntimeError, ValueError):
            return  # a family, e.g. of mixtures of experts, that wants values or other masks: the first batch tells
    try:
        check_language(spec.backbone, output, hidden=True)
    except Broken as broken:
        raise fault(spec.backbone, f"forward {broken}") from None


def try_out_teacher(spec: TeacherSpec, frames: int) -> Teacher:
    """A teacher on the meta device, whose features of one video have the shape that `grid` and `width` say."""
    part, size = "training.distillation.teacher", spec.input.size
    with composing(part), torch.device("meta"):
        teacher = spec.build()
    check_size(teacher, part)
    teacher(VideoBatch.full(torch.empty(1, frames, 3, size, size, device="meta")))
    return teacher
