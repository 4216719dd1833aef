"""Parameter groups, and those that stand still."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from vlmkit.spec.experiment import StageSpec
from vlmkit.training.optimizer import idle_patterns, make_optimizer


def stage(**options: Any) -> StageSpec:
    return StageSpec.model_validate(
        {"name": "a", "data": [{"type": "moving-shapes"}], "train": {"aligner": 0.1, "backbone": 0.01}, "steps": 1}
        | options
    )


def test_each_part_has_its_rate_and_decay_spares_vectors() -> None:
    parameters = {"aligner": list(nn.Linear(2, 2).parameters()), "backbone": list(nn.LayerNorm(2).parameters())}
    optimizer = make_optimizer(stage(weight_decay=0.5), parameters)
    groups = [(g["pattern"], g["lr"], g["weight_decay"], [p.ndim for p in g["params"]]) for g in optimizer.param_groups]
    assert groups == [("aligner", 0.1, 0.5, [2]), ("aligner", 0.1, 0.0, [1]), ("backbone", 0.01, 0.0, [1, 1])]
    assert all(group["betas"] == (0.9, 0.999) for group in optimizer.param_groups)


def test_an_idle_part_keeps_its_weights_and_its_moments() -> None:
    parameters = {part: [nn.Parameter(torch.ones(1))] for part in ("aligner", "backbone")}
    optimizer = make_optimizer(stage(), parameters)

    def step(gradient: float) -> list[float]:
        for members in parameters.values():
            members[0].grad = torch.full((1,), gradient)
        optimizer.step()
        return [members[0].item() for members in parameters.values()]

    before = step(1.0)
    optimizer.idle = frozenset({"aligner"})
    during = step(0.0)
    assert during[0] == before[0]
    assert during[1] < before[1]
    counts = [optimizer.state[members[0]]["step"].item() for members in parameters.values()]
    assert counts == [1, 2]
    assert [group["pattern"] for group in optimizer.param_groups] == ["aligner", "backbone"]


@pytest.mark.parametrize(
    ("trained", "idle"),
    [
        (("aligner", "backbone"), {"aligner"}),
        (("aligner.projector", "backbone.lm_head", "distillation"), {"aligner.projector", "distillation"}),
        (("backbone",), set()),
        (("aligner", "distillation"), set()),
    ],
)
def test_without_videos_only_the_language_model_has_gradients(trained: tuple[str, ...], idle: set[str]) -> None:
    assert idle_patterns(stage(train=dict.fromkeys(trained, 0.1))) == idle
