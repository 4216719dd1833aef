"""The order of the data: every position is known from the seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from vlmkit.spec.experiment import StageSpec
from vlmkit.training.sample_order import MicroBatchSampler, SampleOrder, is_flipped


def stage(**options: Any) -> StageSpec:
    return StageSpec.model_validate(
        {"name": "a", "data": [{"type": "moving-shapes"}], "train": {"aligner": 1.0}, "batch_size": 4, **options}
    )


def epochs(order: SampleOrder) -> list[list[int]]:
    found: dict[int, list[int]] = {}
    for position in range(len(order)):
        epoch, index = order[position]
        found.setdefault(epoch, []).append(index)
    return list(found.values())


def test_each_epoch_sees_every_sample_once_in_another_order() -> None:
    first, second = epochs(SampleOrder.of(stage(epochs=2), 50, seed=1, number=1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second


def test_seed_and_stage_decide_the_order() -> None:
    reference = epochs(SampleOrder.of(stage(epochs=1), 50, seed=1, number=1))
    assert epochs(SampleOrder.of(stage(epochs=1), 50, seed=1, number=1)) == reference
    assert epochs(SampleOrder.of(stage(epochs=1), 50, seed=2, number=1)) != reference
    assert epochs(SampleOrder.of(stage(epochs=1), 50, seed=1, number=2)) != reference


def test_a_fraction_is_the_same_in_every_epoch() -> None:
    order = SampleOrder.of(stage(epochs=2, fraction=0.3), 50, seed=1, number=1)
    first, second = epochs(order)
    assert len(set(first)) == 15
    assert set(first) == set(second)
    assert order.epoch_after(2) == pytest.approx(8 / 15)


@pytest.mark.parametrize(
    ("options", "steps", "total"),
    [
        ({"steps": 7}, 7, 28),
        ({"epochs": 1}, 3, 10),
        ({"epochs": 0.5}, 2, 5),
        ({"epochs": 2.5}, 7, 25),
        ({"epochs": 1.1}, 3, 11),
    ],
)
def test_steps_and_positions(options: dict[str, Any], steps: int, total: int) -> None:
    order = SampleOrder.of(stage(**options), 10, seed=0, number=1)
    assert (order.steps, len(order)) == (steps, total)
    assert order.epoch_after(steps) == pytest.approx(total / 10)


@pytest.mark.parametrize("processes", [1, 2])
def test_micro_batches_share_each_step(processes: int) -> None:
    order = SampleOrder.of(stage(epochs=1, batch_size=8), 21, seed=0, number=1)
    ranks = [list(MicroBatchSampler(order, 2, rank, processes)) for rank in range(processes)]
    assert {len(batches) for batches in ranks} == {3 * 8 // (2 * processes)}
    assert Counter(p for batches in ranks for batch in batches for p in batch) == Counter(range(21))
    per_step = 4 // processes
    for step in range(3):
        taken = [p for batches in ranks for b in batches[step * per_step : (step + 1) * per_step] for p in b]
        assert sorted(taken) == list(range(step * 8, min(21, step * 8 + 8)))


def test_the_first_epoch_is_a_fair_shuffle() -> None:
    orders = [epochs(SampleOrder.of(stage(epochs=1), 3, seed, number=1))[0] for seed in range(600)]
    drawn = Counter(map(tuple, orders))
    assert len(drawn) == 6
    assert min(drawn.values()) > 60


def test_flips_are_a_fair_coin_for_each_epoch_and_sample() -> None:
    order = SampleOrder.of(stage(epochs=1), 10, seed=0, number=1)
    first = [is_flipped(order, 0, str(sample)) for sample in range(1000)]
    second = [is_flipped(order, 1, str(sample)) for sample in range(1000)]
    assert 430 < sum(first) < 570
    assert first != second
    assert first == [is_flipped(order, 0, str(sample)) for sample in range(1000)]
