"""Learning rates over the steps of a stage."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.spec.experiment import StageSpec
from vlmkit.training.lr_schedule import lr_factor, make_lr_scheduler
from vlmkit.training.optimizer import make_optimizer


def stage(**options: Any) -> StageSpec:
    return StageSpec.model_validate(
        {"name": "a", "data": [{"type": "moving-shapes"}], "train": {"aligner": 0.1, "backbone": 0.01}, "steps": 1}
        | options
    )


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0, 0.5, 1, 1, 1, 1, 1, 1]),
        ("linear", [0, 0.5, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]),
        ("cosine", [0, 0.5, 1, 0.93301, 0.75, 0.5, 0.25, 0.06699]),
    ],
)
def test_schedules(schedule: str, expected: list[float]) -> None:
    spec = stage(schedule=schedule, warmup=0.25)
    assert [lr_factor(spec, 8, step) for step in range(8)] == pytest.approx(expected, abs=1e-5)


def test_no_warmup_begins_at_the_full_rate() -> None:
    assert lr_factor(stage(warmup=0), 8, 0) == 1


def test_the_scheduler_moves_every_group() -> None:
    spec = stage(schedule="linear", warmup=0)
    parameters = {part: [nn.Parameter(torch.ones(1))] for part in spec.train}
    optimizer = make_optimizer(spec, parameters)
    scheduler = make_lr_scheduler(spec, 4, optimizer)
    seen = []
    for _ in range(4):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    assert torch.tensor(seen).flatten().tolist() == pytest.approx(
        [0.1, 0.01, 0.075, 0.0075, 0.05, 0.005, 0.025, 0.0025]
    )
