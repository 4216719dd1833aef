"""Intervals that hold after every seed: against their likelihood ratio, and in simulated seeds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import nct, norm, t

from vlmkit.statistics.seeds import SeededMean
from vlmkit.statistics.sequential import always_valid, always_valid_half, always_valid_p


@pytest.mark.parametrize("seeds", [4, 6, 12])
def test_at_the_end_of_the_interval_the_likelihood_ratio_is_one_over_the_error(seeds: int) -> None:
    """The t statistic of S seeds against an effect from N(0, 4), integrated numerically."""
    statistic = always_valid_half(0.0, 1.0, seeds - 1, seeds)

    def weighted(effect: float) -> float:
        return float(nct.pdf(statistic, seeds - 1, effect * math.sqrt(seeds)) * norm.pdf(effect, scale=2))

    ratio = quad(weighted, -16, 16, limit=200)[0] / t.pdf(statistic, seeds - 1)
    assert ratio == pytest.approx(1 / 0.025, rel=1e-3)


def test_seeds_alone_are_outside_in_few_studies_after_any_of_them() -> None:
    rng = np.random.default_rng(4)
    studies, seeds = 2000, 24
    values = rng.normal(size=(studies, seeds))
    outside = np.zeros(studies, bool)
    ordinary = np.zeros(studies, bool)
    for count in range(2, seeds + 1):
        some = values[:, :count]
        ratio = np.abs(some.mean(1)) / (some.std(1, ddof=1) / math.sqrt(count))
        outside |= ratio > always_valid_half(0.0, 1.0, count - 1, count)
        ordinary |= ratio > t.isf(0.025, count - 1)
    assert 0 < outside.mean() <= 0.025
    assert ordinary.mean() > 0.15


def test_before_the_chance_of_a_training_is_known_nothing_is() -> None:
    assert always_valid(SeededMean(0.3, 0.001, 0.0, 0.0, 1), -1, 1) == (0.3, -1, 1)
    assert always_valid_p(SeededMean(0.3, 0.001, 0.0, 0.0, 1)) == 1
    alone = [always_valid_half(0.0, 0.01, seeds - 1, seeds) for seeds in (2, 3, 4, 5)]
    assert [math.isfinite(half) for half in alone] == [False, False, True, True]
    assert always_valid_half(0.0, 0.01, 10, 3) < always_valid_half(0.0, 0.01, 4, 3)


def test_few_videos_make_it_wider() -> None:
    few, many = (SeededMean(0.1, 1e-3, 1e-4, 12, 4, degrees) for degrees in (4, 400))
    assert always_valid(few).high > 1.15 * always_valid(many).high
    assert always_valid_p(few) > always_valid_p(many)


@pytest.mark.parametrize("value", [0.0, 0.02, 0.05, 0.08, 0.3])
def test_p_is_small_where_the_interval_leaves_zero_out(value: float) -> None:
    mean = SeededMean(value, 1e-4, 1e-4, 12, 4)
    p = always_valid_p(mean)
    assert (p < 0.05) == (always_valid(mean).low > 0)
    if 1e-9 < p < 1:
        assert always_valid_half(1e-4, 1e-4, 12, 4, 1 - p) == pytest.approx(value, rel=1e-4)
    assert p > mean.p or value == 0
