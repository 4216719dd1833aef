"""What a micro-batch adds to the loss of its step."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import Teacher, VideoBatch
from vlmkit.model.distillation import DistillationHead
from vlmkit.training.batch import MicroBatch
from vlmkit.training.objective import Distillation, Losses, Objective, Totals


class Language(nn.Module):
    """Losses that add up to 6 before they are divided; one video of one frame, whose only patch is the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.weight = nn.Parameter(torch.tensor(6.0))

    def forward(self, num_items_in_batch: int, **_: Any) -> SimpleNamespace:
        return SimpleNamespace(
            loss=self.weight / num_items_in_batch,
            hidden_states=torch.arange(8.0).view(2, 1, 1, 4),
            positions=torch.zeros(1, 1, 2, dtype=torch.int64),
            visual=SimpleNamespace(patches=torch.zeros(1, 1, 1, 1, dtype=torch.int64)),
        )


class Ones(Teacher):
    def forward(self, video: VideoBatch) -> Tensor:
        return torch.ones(1, 1, 1, 1, 4)


@pytest.fixture
def objective() -> Objective:
    torch.manual_seed(0)
    spec: Any = SimpleNamespace(weight=3.0, loss="mse")
    model: Any = Language()
    return Objective(model, Distillation(spec, DistillationHead([1, 0], 4, 4, heads=1), Ones()))


@pytest.fixture
def batch() -> MicroBatch:
    video = VideoBatch.full(torch.zeros(1, 1, 3, 28, 28))
    return MicroBatch({}, video, video, [], [])


def _values(losses: Losses) -> list[float]:
    return [loss.item() for loss in losses]


def test_losses_are_shares_of_the_step(objective: Objective, batch: MicroBatch) -> None:
    language, distance = _values(objective(batch, Totals(tokens=1, frames=1)))
    assert language == 6
    assert distance > 0
    assert _values(objective(batch, Totals(tokens=4, frames=5))) == pytest.approx([6 / 4, distance / 5])


def test_losses_make_up_for_the_mean_over_processes(objective: Objective, batch: MicroBatch) -> None:
    language, distance = _values(objective(batch, Totals(tokens=4, frames=5)))
    two = objective(batch, Totals(tokens=4, frames=5, processes=2))
    assert _values(two) == pytest.approx([2 * language, 2 * distance])


def test_the_total_weighs_the_distillation(objective: Objective) -> None:
    language, distance = torch.tensor(1.0, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    total = objective.total(Losses(language, distance))
    assert total.item() == 2.5
    assert [gradient.item() for gradient in torch.autograd.grad(total, (language, distance))] == [1, 3]
