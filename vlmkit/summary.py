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
from vlmkit.model.size import composing
from vlmkit.model.trial import try_out, try_out_teacher
from vlmkit.spec.checks import ASPECTS
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.memory import memory
from vlmkit.training.plan import plan

__all__ = ["StageSummary", "Summary", "macs", "summarize"]


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
    try_out(model, spec.model)
    parts = {"aligner": count(model.aligner), "backbone": count(model.backbone)}
    tokens = {name: aligner.layout(aligner.input.shape(*sides)).tokens for name, sides in ASPECTS.items()}
    stages: list[StageSummary] = []
    if spec.training is not None:
        planned = plan(spec, model)
        if (distillation := spec.training.distillation) is not None:
            parts["distillation"] = planned.head_parameters
            parts["teacher"] = count(try_out_teacher(distillation.teacher, aligner.input.frames))
        for stage, stage_plan in zip(spec.training.stages, planned.stages, strict=True):
            bytes_per_gpu = memory(spec, stage, planned, stage_plan, parts.get("teacher", 0), tokens["square"])
            stages.append(StageSummary(stage.name, stage_plan.trains, dict(stage.train), bytes_per_gpu))
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
    with composing("model.aligner"), FlopCounterMode(display=False) as counter:
        functional_call(aligner, frozen, (VideoBatch.full(pixels),))
    aligner.train(was_training)
    return counter.get_total_flops() // 2
