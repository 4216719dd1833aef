"""How much memory a training stage takes, estimated before any weight loads."""

from __future__ import annotations

from vlmkit.spec.experiment import ExperimentSpec, StageSpec
from vlmkit.training.plan import Plan, StagePlan

__all__ = ["GPUS", "memory"]

GPUS = (1, 8, 64)
"""Numbers of GPUs for which memory is estimated; the engine `single` takes one."""


def memory(
    spec: ExperimentSpec, stage: StageSpec, planned: Plan, stage_plan: StagePlan, teacher: int, tokens: int
) -> dict[int, int]:
    """Bytes per GPU, by number of GPUs: weights, gradients, AdamW's states and activations of the LLM.

    Args:
        spec: with `training`.
        stage: one of its stages.
        planned: what the stages train.
        stage_plan: what this one trains.
        teacher: parameters of the teacher.
        tokens: of a square video.
    """
    assert spec.training is not None
    gpus = GPUS if spec.training.engine.type == "deepspeed" else GPUS[:1]
    trained = sum(stage_plan.trains.values())
    return {count: _states(spec, stage, planned, trained, teacher, count) + _activations(spec, stage, tokens, count)
            for count in gpus}  # fmt: skip


def _states(spec: ExperimentSpec, stage: StageSpec, planned: Plan, trained: int, teacher: int, gpus: int) -> int:
    """Weights, gradients and AdamW's states.

    ZeRO partitions (Rajbhandari et al., 2020, arXiv:1910.02054): 12 bytes an optimizer state (master copy and two
    moments), shared among the GPUs from stage 1 on, and 2 bytes a weight and a gradient (4 in float32), the gradients
    shared from stage 2 on. Without ZeRO each process keeps gradients and moments in float32, 4 bytes each, and has no
    copy.
    """
    assert spec.training is not None
    engine, unit = spec.training.engine, 2 if spec.training.precision == "bfloat16" else 4
    head = planned.head_parameters if stage.distils else 0
    if engine.type == "deepspeed" and engine.zero:
        shared_grads = gpus if engine.zero == 2 else 1
        states = unit * (planned.parameters + head) + unit * trained // shared_grads + 12 * trained // gpus
    else:
        states = planned.weight_bytes + 4 * head + 12 * trained
    return states + (4 * teacher if stage.distils else 0)  # it stays in float32


def _activations(spec: ExperimentSpec, stage: StageSpec, visual: int, gpus: int) -> int:
    """About 34 bytes per layer, token and channel in half precision and 5 per element of the attention matrices, which
    fused kernels do not store (Korthikanti et al., 2022, arXiv:2205.05198); with checkpointing 2 plus one layer's peak.
    """
    assert spec.training is not None
    micro = stage.micro_batch_size or -(-stage.batch_size // gpus)
    backbone = spec.model.backbone
    length = min(stage.max_length, visual + 128)
    tokens = micro * length
    unit = 1 if spec.training.precision == "bfloat16" else 2
    layer = unit * tokens * (34 * backbone.width + 5 * length * backbone.attention_matrices)
    if stage.gradient_checkpointing:
        return layer + 2 * unit * tokens * backbone.width * backbone.layers
    return layer * backbone.layers
