"""Variances of means over clusters, and standard errors as they are published."""

from __future__ import annotations

import random

import numpy as np
import pytest

from vlmkit.statistics.clustering import clustered_covariance, clustered_mean, standard_errors, student_t


def test_standard_errors_by_hand() -> None:
    """Deviations +-0.5, sums 1, 0 and -1 over three videos: clustered sqrt(2)/6, independent 0.5/sqrt(6)."""
    errors = standard_errors([1, 1, 1, 0, 0, 0], ["a", "a", "b", "b", "c", "c"])
    assert errors == pytest.approx((0.204124, 0.235702, 4 / 3), abs=1e-6)


def test_standard_errors_of_a_macro_by_hand() -> None:
    """Each stratum's mean has weight 1/2: sums of videos -+(0.5/4 + 0.5/2)/2 = -+0.1875."""
    values, strata, videos = [1, 0, 1, 1, 0, 1], ["x", "x", "x", "x", "y", "y"], ["a", "a", "b", "b", "a", "b"]
    assert standard_errors(values, videos, strata).clustered == pytest.approx(0.1875 * 2**0.5)
    mean = clustered_mean(values, videos, strata)
    assert mean.value == 0.625
    assert mean.clustered == pytest.approx(0.140625)  # with 2/1 for two videos: twice the square of the above
    assert mean.degrees == 1


def test_values_that_are_alike_have_no_design_effect() -> None:
    assert standard_errors([1.0, 1.0, 1.0], ["a", "a", "b"]) == (0.0, 0.0, 1.0)


def test_a_macro_with_equal_clusters_is_the_mean_of_their_macros() -> None:
    """Every video has two questions in each of three strata: the variance is that of m independent macros over m."""
    rng = random.Random(0)
    rows = [(rng.random(), stratum, video) for video in range(20) for stratum in range(3) for _ in range(2)]
    values, strata, videos = map(list, zip(*rows, strict=True))
    macros = [sum(value for value, _, video in rows if video == one) / 6 for one in range(20)]
    center = sum(macros) / 20
    expected = sum((value - center) ** 2 for value in macros) / 19 / 20
    assert clustered_mean(values, videos, strata).clustered == pytest.approx(expected)


def test_strata_apart_add_up_with_their_own_correction() -> None:
    """By hand: variances 1/2 / 2 and 8/2 ... of the means of two videos (0, 1) and of three (0, 0, 6)."""
    mean = clustered_mean([0, 1, 0, 0, 6], range(5), ["x", "x", "y", "y", "y"])
    first, second = 0.5 / 2, 12 / 3  # s^2 / m_s
    assert mean.value == 1.25
    assert mean.clustered == pytest.approx((first + second) / 4)
    assert mean.degrees == pytest.approx((first + second) ** 2 / (first**2 / 1 + second**2 / 2))  # Satterthwaite


def test_one_cluster_shows_no_variance() -> None:
    mean = clustered_mean([1, 0, 1], ["a"] * 3)
    assert (mean.clustered, mean.kish) == (float("inf"), 1.0)


def test_student_t_equals_the_tables() -> None:
    assert [student_t(1), student_t(10), student_t(10, 0.95)] == pytest.approx([12.7062, 2.2281, 1.8125], abs=1e-4)


@pytest.mark.parametrize("strata", [None, ["a", "b", "b", "b", "a", "c", "c", "b"] * 5, ["lonely"] + ["b"] * 39])
def test_a_covariance_has_the_variances_of_means_and_of_their_differences(strata: list[str] | None) -> None:
    rng = np.random.default_rng(2)
    values, clusters = rng.random((3, 40)), (np.arange(40) // 3).tolist()
    covariance = clustered_covariance(values, clusters, strata)
    for one in range(3):
        assert covariance[one, one] == pytest.approx(clustered_mean(values[one], clusters, strata).clustered)
    apart = clustered_mean(values[0] - values[1], clusters, strata).clustered
    assert covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1] == pytest.approx(apart)


def test_a_covariance_needs_two_clusters() -> None:
    with pytest.raises(ValueError, match="at least two clusters"):
        clustered_covariance([[0.0, 1.0]], ["one", "one"])
