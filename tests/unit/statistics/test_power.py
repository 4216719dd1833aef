"""Sample sizes and power."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from vlmkit.statistics.paired import paired
from vlmkit.statistics.power import Comparison


def test_different_questions_by_hand() -> None:
    """(1.95996 + 0.84162)^2 = 7.84888; 7.84888 * (0.25 + 0.24) / 0.01 = 384.6."""
    assert Comparison().questions(0.1) == 385
    assert Comparison(design_effect=4.9).questions(0.1) == 1885
    assert Comparison(power=0.9).questions(0.1) == 515  # textbooks: (1.95996 + 1.28155)^2 = 10.5074


def test_same_questions_by_hand() -> None:
    """7.84888 * (0.2 - 0.0025) / 0.0025 = 620.06; with 2 seeds of 1 point each 1.55015 / (0.0025 - 0.000784888)."""
    assert Comparison(discordant=0.2).questions(0.05) == 621
    assert Comparison(discordant=0.2, seed_deviation=0.01, seeds=2).questions(0.05) == 904


def test_seeds_by_hand() -> None:
    """With 1,000 questions v/n = 0.1975e-3, and (0.05 / 2.80159)^2 = 0.31852e-3: S = 2 * 0.02^2 / 0.12102e-3 = 6.61."""
    plan = Comparison(discordant=0.2, seed_deviation=0.02)
    assert plan.seeds_needed(0.05, 1000) == 7
    assert plan.seeds_needed(0.05, 600) is None  # the questions alone are too few
    assert Comparison(discordant=0.2).seeds_needed(0.05, 1000) == 1


@pytest.mark.parametrize(
    "plan",
    [
        {"accuracy": 0.66},
        {"accuracy": 0.9, "design_effect": 2.5},
        {"accuracy": 0.3, "seed_deviation": 0.004, "seeds": 3},
        {"accuracy": 0.66, "discordant": 0.08, "power": 0.9},
        {"discordant": 0.3, "design_effect": 1.2, "seed_deviation": 0.003},
    ],
)
def test_the_ways_of_asking_agree(plan: dict[str, Any]) -> None:
    comparison = Comparison(**plan)
    difference = comparison.detectable(4000)
    assert difference is not None
    assert comparison.questions(difference) in (4000, 4001)
    assert comparison.power_of(difference, 4000) == pytest.approx(comparison.power)


def test_the_impossible_has_no_sample_size() -> None:
    assert Comparison(accuracy=0.95).questions(0.06) is None  # more than 100%
    assert Comparison(discordant=0.02).questions(0.03) is None  # more than the questions that differ
    assert Comparison(seed_deviation=0.01).questions(0.01) is None  # hidden by the seeds
    assert Comparison(accuracy=1.0).detectable(1000) is None
    assert Comparison(discordant=0.05).detectable(20) is None
    assert Comparison(accuracy=0.95).power_of(0.06, 1000) == 0.0


def test_the_interval_of_paired_finds_it_as_often() -> None:
    """Simulated: 12% of the questions are answered by the better system alone, 6% by the other."""
    plan = Comparison(accuracy=0.5, discordant=0.18)
    questions = plan.questions(0.06)
    assert questions is not None
    rng, found = np.random.default_rng(0), 0
    for _ in range(2000):
        luck = rng.random(questions)
        better, worse = (luck < 0.12).tolist(), ((luck >= 0.12) & (luck < 0.18)).tolist()
        found += paired(better, worse, range(questions)).difference.low > 0
    assert 0.77 <= found / 2000 <= 0.83


@pytest.mark.parametrize(
    "wrong",
    [{"accuracy": 1.2}, {"discordant": -0.1}, {"seeds": 0}, {"design_effect": math.nan}, {"power": 1.0}],
)
def test_numbers_out_of_range_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))}: expected"):
        Comparison(**wrong)
