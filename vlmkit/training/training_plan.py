"""The plan of a training: what each stage trains, and how much memory it takes, before any weight loads."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from vlmkit.errors import SpecError
from vlmkit.guard import building
from vlmkit.model.compose import compose
from vlmkit.model.videolm import VideoLM
from vlmkit.spec.experiment import PARTS, ExperimentSpec, StageSpec, TrainingSpec, part_of
from vlmkit.training.loss import build_distillation_head
from vlmkit.training.trainable import NamedParameters, assign_parameters, named_parameters

__all__ = ["GPU_COUNTS", "StagePlan", "TrainingPlan", "estimate_memory", "plan_training"]

GPU_COUNTS = (1, 8, 64)
"""Numbers of GPUs for which memory is estimated; the engine `single` takes one."""


@dataclass(frozen=True)
class StagePlan:
    """The parameters that one stage trains."""

    name: str
    assigned: dict[str, list[str]]
    """Names of the parameters that each pattern of `train` trains."""
    trains: dict[str, int]
    """Trainable parameters by part (`aligner`, `backbone`, `layers`, `distillation`)."""


@dataclass(frozen=True)
class TrainingPlan:
    """The parameters that the stages train."""

    model: VideoLM
    """The composed model, on the meta device."""
    stages: list[StagePlan]
    trained: set[str]
    """Names of the parameters that any stage trains."""
    parameters: int
    """Parameters of the model."""
    weight_bytes: int
    """Their bytes while one process trains them (`TrainingPrecision`)."""
    head_parameters: int
    """Parameters of the distillation head; 0 without distillation."""


def plan_training(spec: ExperimentSpec, model: VideoLM | None = None) -> TrainingPlan:
    """Count what each stage trains, on the meta device.

    Args:
        spec: with `training`.
        model: the model composed on the meta device, where it is there already.

    Raises:
        SpecError: `training` is missing, or keys of a `train` match no parameter (all of them at once).
    """
    if spec.training is None:
        raise SpecError(f"{spec.name}: this spec has no `training`, so there is nothing to plan")
    if model is None:
        model, _ = compose(spec.model, meta=True)
    with building("training.distillation"), torch.device("meta"):
        head = build_distillation_head(spec)
    named = named_parameters(model, head)
    stages, problems = [], []
    for stage in spec.training.stages:
        try:
            stages.append(_plan_stage(stage, named))
        except SpecError as error:
            problems.append(str(error))
    if problems:
        raise SpecError("\n".join([f"{spec.name}: the training does not fit the model", *(f"  {p}" for p in problems)]))
    trained = {name for stage in stages for names in stage.assigned.values() for name in names}
    own = list(model.named_parameters())
    in_float32 = spec.training.precision == "float32"
    return TrainingPlan(
        model,
        stages,
        trained,
        sum(value.numel() for _, value in own),
        sum(value.numel() * (4 if in_float32 or name in trained else value.element_size()) for name, value in own),
        sum(value.numel() for value in head.parameters()) if head is not None else 0,
    )


def _plan_stage(stage: StageSpec, named: NamedParameters) -> StagePlan:
    assigned = assign_parameters(stage, named)
    trains = dict.fromkeys(PARTS, 0)
    for names in assigned.values():
        for name in names:
            trains[part_of(name)] += named[name].numel()
    return StagePlan(stage.name, assigned, {part: count for part, count in trains.items() if count})


def estimate_memory(
    spec: ExperimentSpec, stage: StageSpec, plan: TrainingPlan, stage_plan: StagePlan, teacher: int, tokens: int
) -> dict[int, int]:
    """Return the bytes per GPU, by number of GPUs: weights, gradients, AdamW's states and activations of the LLM.

    `teacher` is the number of the teacher's parameters, `tokens` that of the largest square video's tokens.
    """
    assert spec.training is not None
    counts = GPU_COUNTS if spec.training.engine.type == "deepspeed" else GPU_COUNTS[:1]
    trained = sum(stage_plan.trains.values())
    states = {gpus: _states(spec.training, stage, plan, trained, teacher, gpus) for gpus in counts}
    return {gpus: size + _activations(spec, stage, tokens, gpus) for gpus, size in states.items()}


def _states(training: TrainingSpec, stage: StageSpec, plan: TrainingPlan, trained: int, teacher: int, gpus: int) -> int:
    """Return the bytes of weights, gradients and AdamW's states.

    ZeRO partitions (Rajbhandari et al., 2020, arXiv:1910.02054): 12 bytes an optimizer state (master copy and two
    moments), shared among the GPUs from stage 1 on, and 2 bytes a weight and a gradient (4 in float32), the gradients
    shared from stage 2 on. Without ZeRO each process keeps gradients and moments in float32, 4 bytes each, and has no
    copy.
    """
    engine, unit = training.engine, 2 if training.precision == "bfloat16" else 4
    head = plan.head_parameters if stage.distils else 0
    if engine.type == "deepspeed" and engine.zero:
        shared_grads = gpus if engine.zero == 2 else 1
        states = unit * (plan.parameters + head) + unit * trained // shared_grads + 12 * trained // gpus
    else:
        states = plan.weight_bytes + 4 * head + 12 * trained
    return states + (4 * teacher if stage.distils else 0)  # it stays in float32


def _activations(spec: ExperimentSpec, stage: StageSpec, visual: int, gpus: int) -> int:
    """Return the bytes of activations (Korthikanti et al., 2022, arXiv:2205.05198): about 34 per layer, token and
    channel in half precision and 5 per element of the attention matrices, which fused kernels do not store; with
    checkpointing 2 plus one layer's peak."""
    assert spec.training is not None
    micro = stage.micro_batch_size or -(-stage.batch_size // gpus)
    backbone = spec.model.backbone
    length = min(stage.max_length, visual + 128)
    tokens = micro * length
    unit = 1 if spec.training.precision == "bfloat16" else 2
    layer = unit * tokens * (34 * backbone.width + 5 * length * backbone.attention_matrices)
    count = backbone.layers + (spec.model.layers.extra_layers if spec.model.layers is not None else 0)
    if stage.gradient_checkpointing:
        return layer + 2 * unit * tokens * backbone.width * count
    return layer * count
