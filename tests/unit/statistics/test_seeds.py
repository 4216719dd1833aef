"""Means over seeds and questions: against cases that are known, and Holm's correction."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from vlmkit.statistics.clustering import clustered_mean
from vlmkit.statistics.paired import paired
from vlmkit.statistics.seeds import SeededMean, half_width, holm, seeded_mean
from vlmkit.statistics.study_power import StudyPower


@pytest.mark.parametrize(
    ("questions", "seeds", "degrees", "expected"),
    [
        (4.0, 0.0, 0.0, 2 * norm.ppf(0.975)),
        (0.0, 4.0, 2.0, 2 * t.ppf(0.975, 2)),
        (1.0, 3.0, 1e6, 2 * norm.ppf(0.975)),
        (0.0, 0.0, 2.0, 0.0),
        (math.inf, 0.0, 0.0, math.inf),
    ],
)
def test_the_width_of_an_interval(questions: float, seeds: float, degrees: float, expected: float) -> None:
    assert half_width(questions, seeds, degrees) == pytest.approx(expected, rel=1e-4)


def test_two_variances_give_a_width_between_their_own() -> None:
    rng = np.random.default_rng(0)
    draws = rng.normal(0, math.sqrt(0.7), 400_000) + math.sqrt(0.3) * rng.standard_t(3, 400_000)
    assert half_width(0.7, 0.3, 3) == pytest.approx(np.quantile(abs(draws), 0.95), rel=0.005)


def test_few_videos_tell_the_variance_of_questions_badly() -> None:
    rng = np.random.default_rng(0)
    draws = rng.standard_t(5, 400_000) + 0.5 * rng.standard_t(3, 400_000)
    assert half_width(1.0, 0.25, 3, question_degrees=5) == pytest.approx(np.quantile(abs(draws), 0.95), rel=0.005)


def test_many_videos_are_computed_faster_to_the_same_width() -> None:
    below, above = (half_width(1.0, 0.25, 3, question_degrees=degrees) for degrees in (100 - 1e-6, 100 + 1e-6))
    assert above == pytest.approx(below, rel=1e-5)


def test_one_training_has_the_interval_of_its_questions() -> None:
    values = [1.0, 0, 0, 1, 1, 0, 1, 1]
    videos = [1, 1, 2, 2, 3, 3, 4, 4]
    found = seeded_mean([values], videos)
    assert (found.seed_variance, found.seed_deviation) == (0, 0)
    assert found.question_variance == clustered_mean(values, videos).clustered


def test_seeds_that_agree_bring_no_variance_of_their_own() -> None:
    values = [1.0, 0, 0, 1, 1, 0, 1, 1]
    found = seeded_mean([values] * 3, range(8))
    assert found.seed_variance == 0
    assert found.question_variance == pytest.approx(clustered_mean(values, range(8)).clustered)


def test_questions_that_are_alike_leave_the_variance_of_the_seeds() -> None:
    found = seeded_mean([[0.4] * 6, [0.5] * 6, [0.6] * 6], range(6))
    low, high = found.interval()[1:]
    assert found.question_variance == pytest.approx(0)
    assert found.seed_deviation == pytest.approx(0.1)
    assert high - low == pytest.approx(2 * t.ppf(0.975, 2) * 0.1 / math.sqrt(3), rel=1e-3)


def test_a_variance_that_is_known_from_more_trainings_takes_the_place_of_the_own_one() -> None:
    values = [[0.4, 0.6] * 3, [0.5, 0.5] * 3]
    found = seeded_mean(values, range(6), pooled=(0.01, 12.0))
    assert (found.seed_variance, found.degrees) == (0.005, 12.0)


def test_p_and_interval_say_the_same() -> None:
    mean = SeededMean(half_width(1.0, 0.5, 2), 1.0, 0.5, 2, 3)
    assert mean.p == pytest.approx(0.05, abs=1e-6)
    assert mean.interval().low == pytest.approx(0, abs=1e-6)
    assert mean.interval(-0.1, 0.2).high == 0.2


@pytest.mark.parametrize("per_video", [4, 50, 80])
def test_one_training_of_each_agrees_with_the_paired_comparison(per_video: int) -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.random((2, 400)) < 0.6).astype(float)
    videos = (np.arange(400) // per_video).tolist()
    own, known = seeded_mean([a - b], videos).interval(), paired(a, b, videos).difference
    assert own == pytest.approx(known, abs=1e-6)


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5], [0.5]),
        ([0.9, 0.6], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm(p: list[float], expected: list[float]) -> None:
    """The first is the example of R's p.adjust."""
    assert holm(p) == pytest.approx(expected)


def test_more_seeds_and_fewer_comparisons_find_smaller_differences() -> None:
    two, five = (StudyPower(seeds, 1e-4, 1e-4, seeds - 1).detectable() for seeds in (2, 5))
    many = StudyPower(5, 1e-4, 1e-4, 4, comparisons=6).detectable()
    assert two > many > five
    assert StudyPower(5, 1e-4, 1e-4, 4).power(five) == pytest.approx(0.8, abs=1e-3)
    assert StudyPower(5, 1e-4, 1e-4, 4).power(0) == pytest.approx(0.039, abs=0.001)


def test_without_chance_everything_is_found() -> None:
    assert StudyPower(3, 0.0, 0.0, 2).detectable() == 0


def test_lists_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="S lists of 3 values"):
        seeded_mean([[1.0, 2.0]], [1, 2, 3])
