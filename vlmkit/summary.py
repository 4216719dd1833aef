"""What an experiment is before any weight loads: parameters, tokens, operations, what trains, memory.

Everything is composed on the meta device.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from vlmkit.api.tensors import VideoBatch
from vlmkit.api.video import VideoInput
from vlmkit.model.compose import compose
from vlmkit.spec.checks import ASPECTS
from vlmkit.spec.experiment import ExperimentSpec, StageSpec
from vlmkit.training.plan import StagePlan, plan

__all__ = ["GPUS", "StageSummary", "Summary", "macs", "summarize"]

GPUS = (1, 8, 64)
"""Numbers of GPUs for which memory is estimated."""


@dataclass(frozen=True)
class StageSummary:
    """One training stage."""

    name: str
    trains: dict[str, int]
    """Trainable parameters by part."""
    rates: dict[str, float]
    """Learning rates as the spec lists them."""
    memory: dict[int, int]
    """Estimated bytes per GPU, by number of GPUs."""


@dataclass(frozen=True)
class Summary:
    """The composed experiment in numbers."""

    name: str
    parts: dict[str, int]
    """Parameters by part; the teacher too, which is never part of the model."""
    tokens: dict[str, int]
    """Tokens per video by aspect ratio."""
    macs: int
    """Multiply-accumulates of the aligner for one square video."""
    frames: int
    stages: list[StageSummary]

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for `model.json`."""
        return asdict(self)


def summarize(spec: ExperimentSpec) -> Summary:
    """Compose the experiment on the meta device and count."""
    model, _ = compose(spec.model, meta=True)
    aligner = spec.model.aligner
    parts = {"aligner": count(model.aligner), "backbone": count(model.backbone)}
    stages: list[StageSummary] = []
    if spec.training is not None:
        planned = plan(spec, model)
        if (distillation := spec.training.distillation) is not None:
            parts["distillation"] = planned.head_parameters
            with torch.device("meta"):
                parts["teacher"] = count(distillation.teacher.build())
        for stage, stage_plan in zip(spec.training.stages, planned.stages, strict=True):
            stages.append(_stage(spec, stage, stage_plan, parts))
    tokens = {name: aligner.layout(aligner.input.shape(*sides)).tokens for name, sides in ASPECTS.items()}
    return Summary(spec.name, parts, tokens, macs(model.aligner, aligner.input), aligner.input.frames, stages)


def count(module: nn.Module) -> int:
    """Parameters, each counted once."""
    return sum(parameter.numel() for parameter in module.parameters())


def macs(aligner: nn.Module, video: VideoInput) -> int:
    """Multiply-accumulates (matrix products and convolutions) of an aligner on the meta device, one square video."""
    pixels = torch.empty(1, video.frames, 3, video.size, video.size, device="meta")
    was_training = aligner.training
    aligner.eval()
    # Not `no_grad`: there the view of a parameter still asks for gradients, and the counter cannot follow it.
    frozen = {name: value.detach() for name, value in aligner.named_parameters()}
    with FlopCounterMode(display=False) as counter:
        functional_call(aligner, frozen, (VideoBatch.full(pixels),))
    aligner.train(was_training)
    return counter.get_total_flops() // 2


def _stage(spec: ExperimentSpec, stage: StageSpec, planned: StagePlan, parts: dict[str, int]) -> StageSummary:
    memory = {gpus: _memory(spec, stage, sum(planned.trains.values()), parts, gpus) for gpus in GPUS}
    return StageSummary(stage.name, planned.trains, dict(stage.train), memory)


def _memory(spec: ExperimentSpec, stage: StageSpec, trained: int, parts: dict[str, int], gpus: int) -> int:
    """Bytes per GPU: weights, gradients, AdamW's states and activations of the LLM.

    ZeRO partitions (Rajbhandari et al., 2020, arXiv:1910.02054): with mixed precision 2 bytes a weight, 2 a gradient
    and 12 an optimizer state (master copy and two moments); stage 1 shares the states among the GPUs, stage 2 the
    gradients too. A single process keeps weights, gradients and moments in float32. Activations: about 34 bytes per
    layer, token and channel in half precision (Korthikanti et al., 2022, arXiv:2205.05198, without the attention
    matrix, which fused kernels do not store), or 2 with checkpointing plus one layer's peak.
    """
    assert spec.training is not None
    engine, bf16 = spec.training.engine, spec.training.precision == "bfloat16"
    kept = parts["aligner"] + parts["backbone"] + (parts.get("distillation", 0) if stage.distils else 0)
    if engine.type == "deepspeed":
        shared_states, shared_grads = (gpus if engine.zero >= 1 else 1), (gpus if engine.zero >= 2 else 1)
        states = 2 * kept + 2 * trained // shared_grads + 12 * trained // shared_states
    else:
        states = 4 * kept + 4 * trained + 8 * trained
    if stage.distils:
        states += 4 * parts.get("teacher", 0)  # it stays in float32
    micro = stage.micro_batch_size or -(-stage.batch_size // gpus)
    tokens = micro * min(stage.max_length, spec.model.aligner.layout(spec.model.aligner.input.shape(1, 1)).tokens + 128)
    backbone, unit = spec.model.backbone, 1 if bf16 else 2
    layer = 34 * unit * tokens * backbone.width
    activations = layer + 2 * unit * tokens * backbone.width * backbone.layers
    if not stage.gradient_checkpointing:
        activations = layer * backbone.layers
    return states + activations
