"""An experiment before any weight loads: parameters, tokens, operations, what trains, memory. Its record is model.json.

Everything is composed on the meta device. Importing this costs no torch, so that a report can read the record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, Field

from vlmkit.guard import building
from vlmkit.spec.checks import ASPECTS, LARGE_ASPECTS
from vlmkit.spec.experiment import ExperimentSpec, ModelSpec

if TYPE_CHECKING:
    from torch import nn

    from vlmkit.api.modules import Teacher
    from vlmkit.api.teacher import TeacherSpec
    from vlmkit.api.video import VideoInput
    from vlmkit.model.videolm import VideoLM
    from vlmkit.training.training_plan import TrainingPlan

__all__ = [
    "ComposedSummary",
    "StageSummary",
    "Summary",
    "build_meta_teacher",
    "compose_and_summarize",
    "count_macs",
    "count_parameters",
    "count_vision",
    "summarize",
]


class StageSummary(BaseModel):
    """One training stage."""

    name: str
    trains: dict[str, int]
    """Trainable parameters by part."""
    rates: dict[str, float]
    """Learning rates as the spec lists them."""
    memory: dict[str, int]
    """Estimated bytes per GPU, by number of GPUs."""


class Summary(BaseModel):
    """The composed experiment in numbers: the content of model.json."""

    name: str
    parts: dict[str, int]
    """Parameters by part; the teacher too, which is never part of the model."""
    tokens: dict[str, int]
    """Tokens per video by aspect ratio."""
    prompts: Annotated[int, Field(exclude_if=lambda found: not found)] = 0
    """Prompts per video, which layers inside the LLM read beside its sequence."""
    pictures: Annotated[dict[str, tuple[int, int]], Field(exclude_if=lambda found: not found)] = {}
    """Width and height of these videos, pixels, where tokens depend on them: without a square canvas."""
    macs: Annotated[int, Field(ge=0, lt=10**30)]
    """Multiply-accumulates of the aligner for one square video."""
    frames: int
    stages: list[StageSummary]

    def shape(self, aspect: str) -> str:
        """Return an aspect ratio as it is shown, with the sides of the picture where tokens depend on them."""
        sides = self.pictures.get(aspect)
        return aspect if sides is None else f"{aspect} ({sides[0]}x{sides[1]})"

    @property
    def visual_parameters(self) -> int:
        """Parameters of all that the model has besides its language model: the aligner, and layers inside the LLM."""
        return self.parts["aligner"] + self.parts.get("layers", 0)

    @property
    def tokens_by_shape(self) -> dict[str, int]:
        """Tokens per video by the aspect ratio as it is shown."""
        return {self.shape(aspect): number for aspect, number in self.tokens.items()}


class ComposedSummary(NamedTuple):
    """A summary, with what was composed and planned for it."""

    summary: Summary
    model: VideoLM
    """On the meta device."""
    plan: TrainingPlan | None
    """None where the spec trains nothing."""


def summarize(spec: ExperimentSpec) -> Summary:
    """Compose the experiment on the meta device and count."""
    return compose_and_summarize(spec).summary


def compose_and_summarize(spec: ExperimentSpec) -> ComposedSummary:
    """Compose and plan the experiment on the meta device, once, and count."""
    from vlmkit.model.compose import check_shapes, compose
    from vlmkit.training.training_plan import estimate_memory, plan_training

    model, _ = compose(spec.model, meta=True)
    aligner = spec.model.aligner
    check_shapes(model, spec.model)
    pictures = {} if aligner.input.is_square else ASPECTS
    parts = {"aligner": count_parameters(model.aligner), "backbone": count_parameters(model.backbone)}
    if model.layers is not None:
        parts["layers"] = count_parameters(model.layers)
    tokens = {name: aligner.layout(aligner.input.shape(*sides)).tokens for name, sides in ASPECTS.items()}
    largest = aligner.layout(aligner.input.shape(*LARGE_ASPECTS["square"])).tokens
    stages: list[StageSummary] = []
    plan: TrainingPlan | None = None
    if spec.training is not None:
        plan = plan_training(spec, model)
        if (distillation := spec.training.distillation) is not None:
            parts["distillation"] = plan.head_parameters
            parts["teacher"] = count_parameters(build_meta_teacher(distillation.teacher, aligner.input.frames))
        for stage, stage_plan in zip(spec.training.stages, plan.stages, strict=True):
            needed = estimate_memory(spec, stage, plan, stage_plan, parts.get("teacher", 0), largest)
            memory, rates = {str(gpus): size for gpus, size in needed.items()}, dict(stage.train)
            stages.append(StageSummary(name=stage.name, trains=stage_plan.trains, rates=rates, memory=memory))
    macs = count_macs(model.aligner, aligner.input)
    summary = Summary(
        name=spec.name, parts=parts, tokens=tokens, prompts=aligner.num_prompts, pictures=pictures, macs=macs,
        frames=aligner.input.frames, stages=stages,
    )  # fmt: skip
    return ComposedSummary(summary, model, plan)


def build_meta_teacher(spec: TeacherSpec, frames: int) -> Teacher:
    """Return a teacher on the meta device, whose features of one video have the shape that `grid` and `width` say."""
    import torch

    from vlmkit.api.tensors import VideoBatch
    from vlmkit.model.aligners import check_size

    part, size = "training.distillation.teacher", spec.input.size
    with building(part), torch.device("meta"):
        teacher = spec.build()
    check_size(teacher, part)
    teacher(VideoBatch.full(torch.empty(1, frames, 3, size, size, device="meta")))
    return teacher


def count_parameters(module: nn.Module) -> int:
    """Return the number of parameters, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def count_vision(model: ModelSpec) -> int:
    """Return the parameters of all that a model has besides its language model: aligner, and layers inside it."""
    from vlmkit.model.compose import compose

    composed, _ = compose(model, meta=True)
    parts = [composed.aligner, composed.layers]
    return sum(count_parameters(part) for part in parts if part is not None)


def count_macs(aligner: nn.Module, video: VideoInput) -> int:
    """Return the multiply-accumulates (matrix products and convolutions) of an aligner on the meta device for one
    square video."""
    import torch
    from torch.func import functional_call
    from torch.utils.flop_counter import FlopCounterMode

    from vlmkit.api.tensor_checks import trial_texts
    from vlmkit.api.tensors import VideoBatch

    pixels = torch.empty(1, video.frames, 3, *video.sides(*ASPECTS["square"]), device="meta")
    was_training = aligner.training
    aligner.eval()
    # Not `no_grad`: there the view of a parameter still asks for gradients, and the counter cannot follow it.
    frozen = {name: value.detach() for name, value in aligner.named_parameters()}
    with building("model.aligner"), FlopCounterMode(display=False) as counter:
        batch = VideoBatch.full(pixels)
        functional_call(aligner, frozen, (batch, *trial_texts(aligner, batch)))
    aligner.train(was_training)
    return counter.get_total_flops() // 2
