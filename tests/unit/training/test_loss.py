"""The loss that a micro-batch adds to its step, and the sums behind the lines of metrics.jsonl."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vlmkit.api import Teacher, TextBatch, VideoBatch
from vlmkit.errors import RunError
from vlmkit.model.distillation import DistillationHead
from vlmkit.training import loss
from vlmkit.training.collate import MicroBatch
from vlmkit.training.loss import Losses, LossSums, ModelWithLoss, StageDistillation, StepTotals


class Language(nn.Module):
    """Losses that add up to 6 before they are divided; one video of one frame, whose only patch is the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Identity()
        self.weight = nn.Parameter(torch.tensor(6.0))

    def forward(self, num_items_in_batch: int, video_of_text: Tensor | None = None, **_: Any) -> SimpleNamespace:
        blocks = 1 if video_of_text is None else len(video_of_text)
        return SimpleNamespace(
            loss=self.weight / num_items_in_batch,
            hidden_states=torch.arange(8.0).view(2, 1, 1, 4),
            positions=torch.zeros(blocks, 1, 2, dtype=torch.int64),
            visual=SimpleNamespace(patches=torch.zeros(blocks, 1, 1, 1, dtype=torch.int64)),
        )


class Ones(Teacher):
    def forward(self, video: VideoBatch) -> Tensor:
        return torch.ones(1, 1, 1, 1, 4)


@pytest.fixture
def with_loss() -> ModelWithLoss:
    torch.manual_seed(0)
    spec: Any = SimpleNamespace(weight=3.0, loss="mse", teacher=None)
    model: Any = Language()
    return ModelWithLoss(model, StageDistillation(spec, DistillationHead([1, 0], 4, 4, heads=1), Ones()))


@pytest.fixture
def batch() -> MicroBatch:
    video = VideoBatch.full(torch.zeros(1, 1, 3, 28, 28))
    return MicroBatch({}, video, video, [], [])


def _values(losses: Losses) -> list[float]:
    return [loss.item() for loss in losses]


def test_losses_are_shares_of_the_step(with_loss: ModelWithLoss, batch: MicroBatch) -> None:
    language, distance = _values(with_loss(batch, StepTotals(tokens=1, frames=1)))
    assert language == 6
    assert distance > 0
    assert _values(with_loss(batch, StepTotals(tokens=4, frames=5))) == pytest.approx([6 / 4, distance / 5])


def test_every_block_of_a_video_is_compared_with_its_teacher(with_loss: ModelWithLoss, batch: MicroBatch) -> None:
    texts = TextBatch.from_model_inputs(torch.ones(3, 2, dtype=torch.int64), video_of_text=torch.zeros(3).long())
    one, several = (_values(with_loss(each, StepTotals(1, 1))) for each in (batch, replace(batch, questions=texts)))
    assert several == pytest.approx(one)


def test_losses_make_up_for_the_mean_over_processes(with_loss: ModelWithLoss, batch: MicroBatch) -> None:
    language, distance = _values(with_loss(batch, StepTotals(tokens=4, frames=5)))
    two = with_loss(batch, StepTotals(tokens=4, frames=5, processes=2))
    assert _values(two) == pytest.approx([2 * language, 2 * distance])


def test_the_total_weighs_the_distillation(with_loss: ModelWithLoss) -> None:
    language, distance = torch.tensor(1.0, requires_grad=True), torch.tensor(0.5, requires_grad=True)
    total = with_loss.total(Losses(language, distance))
    assert total.item() == 2.5
    assert [gradient.item() for gradient in torch.autograd.grad(total, (language, distance))] == [1, 3]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["language", "distillation"])
def test_a_loss_that_is_no_number_is_refused_at_once_on_the_cpu(part: str, value: float) -> None:
    sums, good, bad = LossSums(torch.device("cpu")), torch.tensor(0.5), torch.tensor(value)
    sums.add(Losses(good, good), ["a"], 1)
    with pytest.raises(RunError, match=f"step 2: the {part} loss is not a finite number of the samples b, c; nothing"):
        sums.add(Losses(bad, good) if part == "language" else Losses(good, bad), ["b", "c"], 2)


def test_several_processes_find_out_together_what_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process learns of the loss of another where both write a line, a checkpoint, or count the next step."""
    monkeypatch.setattr(loss, "group_size", lambda: 2)
    monkeypatch.setattr(loss, "gather", lambda found: [found, [(1, ["far"], "distillation")]])
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.add_(float("nan")))
    sums = LossSums(torch.device("cpu"))
    sums.add(Losses(torch.tensor(float("nan")), torch.tensor(0.0)), ["near"], 2)
    assert sums.not_finite
    for ask in (sums.take, sums.state, sums.raise_not_finite):
        with pytest.raises(RunError, match="step 1: the distillation loss is not a finite number of the samples far;"):
            ask()


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), -1.0])
def test_gradients_without_a_norm_are_refused(norm: float) -> None:
    sums = LossSums(torch.device("cpu"))
    sums.add(Losses(torch.tensor(1.0), torch.tensor(0.0)), ["early"], 1)
    sums.add(Losses(torch.tensor(1.0), torch.tensor(0.0)), [f"s{number}" for number in range(10)], 2)
    sums.check_norm(1e30, 2)
    with pytest.raises(RunError, match=rf"step 2: the norm of the gradients is {norm}, .* s0, .*, s7 and 2 more;"):
        sums.check_norm(norm, 2)


def test_sums_give_the_mean_of_the_steps_and_survive_a_checkpoint() -> None:
    sums = LossSums(torch.device("cpu"))
    for language in (0.1, 0.2, 0.4):
        sums.add(Losses(torch.tensor(language), torch.tensor(1.0)))
        sums.steps += 1
    sums.skipped = 3
    again = LossSums(torch.device("cpu"))
    again.restore(sums.state())
    assert again.skipped == 3
    assert again.take() == sums.take() == pytest.approx((0.7 / 3, 1.0))
    assert again.steps == 0
    assert again.take() == (0, 0)


def test_a_checkpoint_holds_the_mean_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    other = torch.tensor([3.0, 1.0], dtype=torch.float64)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.add_(other))
    own = LossSums(torch.device("cpu"))
    own.add(Losses(torch.tensor(1.0), torch.tensor(0.0)))
    own.steps = 1
    assert own.state().sums == [2.0, 0.5]
    assert own.take() == (2.0, 0.5)
