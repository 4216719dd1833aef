"""What each stage trains, known before any weight loads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from vlmkit.errors import SpecError
from vlmkit.model.compose import compose
from vlmkit.model.size import composing
from vlmkit.spec.checks import PARTS
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.objective import build_head
from vlmkit.training.parts import Named, assign, named_parameters

__all__ = ["Plan", "StagePlan", "plan"]


@dataclass(frozen=True)
class StagePlan:
    """What one stage trains."""

    name: str
    trains: dict[str, int]
    """Trainable parameters by part (`aligner`, `backbone`, `distillation`)."""


@dataclass(frozen=True)
class Plan:
    """What the stages train."""

    stages: list[StagePlan]
    trained: frozenset[str]
    """Names of the parameters that any stage trains."""
    parameters: int
    """Parameters of aligner and backbone."""
    weight_bytes: int
    """Their bytes while one process trains them (`Precision`)."""
    head_parameters: int
    """Parameters of the distillation head; 0 without distillation."""


def plan(spec: ExperimentSpec, model: nn.Module | None = None) -> Plan:
    """Count what each stage trains, on the meta device.

    Args:
        spec: with `training`.
        model: the composed model, where it is there already (on any device).

    Raises:
        SpecError: `training` is missing, or keys of a `train` match no parameter (all of them at once).
    """
    if spec.training is None:
        raise SpecError(f"{spec.name}: this spec has no `training`, so there is nothing to plan")
    if model is None:
        model = compose(spec.model, meta=True)[0]
    with composing("training.distillation"), torch.device("meta"):
        head = build_head(spec)
    named = named_parameters(model, head)
    stages, problems, trained = [], [], set[str]()
    for stage in spec.training.stages:
        try:
            assigned = assign(stage, named)
            stages.append(_stage(stage.name, assigned, named))
            trained.update(*assigned.values())
        except SpecError as error:
            problems.append(str(error))
    if problems:
        raise SpecError("\n".join([f"{spec.name}: the training does not fit the model", *(f"  {p}" for p in problems)]))
    own = list(model.named_parameters())
    everything = spec.training.precision == "float32"
    return Plan(
        stages,
        frozenset(trained),
        sum(value.numel() for _, value in own),
        sum(value.numel() * (4 if everything or name in trained else value.element_size()) for name, value in own),
        sum(value.numel() for value in head.parameters()) if head is not None else 0,
    )


def _stage(stage: str, assigned: Mapping[str, Iterable[str]], named: Named) -> StagePlan:
    trains = dict.fromkeys(PARTS, 0)
    for names in assigned.values():
        for name in names:
            trains[name.split(".")[0]] += named[name].numel()
    return StagePlan(stage, {part: count for part, count in trains.items() if count})
