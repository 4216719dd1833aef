"""A judge against human labels."""

from __future__ import annotations

import numpy as np
import pytest

from vlmkit.statistics.calibration import calibrate
from vlmkit.statistics.intervals import estimate, wilson


def test_by_hand() -> None:
    """20 labels: 8 of 10 right ones found, 9 of 10 wrong ones; 80 others, of which the judge calls 60 right.

    cov = 8/20 - 0.5 * 0.45 = 0.175, var = 0.45 * 0.55 = 0.2475, w = 0.70707 * 80/100 = 0.56566.
    """
    judge = [True] * 8 + [False] * 2 + [True] + [False] * 9 + [True] * 60 + [False] * 20
    human = [True] * 10 + [False] * 10 + [None] * 80
    result = calibrate(judge, human, range(100))
    assert result.labels == 20
    assert result.agreement == pytest.approx((0.85, *wilson(0.85, 20)))
    assert result.sensitivity == pytest.approx((0.8, *wilson(0.8, 10)))
    assert result.specificity == pytest.approx((0.9, *wilson(0.9, 10)))
    assert result.judged.value == 0.69
    assert result.weight == pytest.approx(0.56566, abs=1e-5)
    assert result.corrected.value == pytest.approx(0.5 + 0.56566 * (0.75 - 0.45), abs=1e-5)
    assert result.corrected.low < result.corrected.value < result.corrected.high


def test_labels_on_everything_are_the_accuracy() -> None:
    human = [True, False, True, True] * 10
    videos = [place // 4 for place in range(40)]
    result = calibrate([True] * 20 + [False] * 20, human, videos)
    assert result.weight == 0
    assert result.corrected == result.labeled == estimate(human, videos)


@pytest.mark.parametrize("says", [True, False])
def test_a_judge_that_always_says_the_same_does_not_count(says: bool) -> None:
    human = [True, False] * 10 + [None] * 30
    result = calibrate([says] * 50, human, range(50))
    assert (result.weight, result.corrected) == (0, result.labeled)


def test_human_labels_all_alike() -> None:
    result = calibrate([True, False] * 20, [True] * 10 + [None] * 30, range(40))
    assert result.specificity is None
    assert result.corrected[1:] == pytest.approx(wilson(1.0, 10))


def test_a_judge_without_error_is_not_trusted_blindly() -> None:
    """Ten labels without an error leave room for a judge that errs often."""
    judge = [True, False] * 500
    result = calibrate(judge, [*judge[:10], *[None] * 990], range(1000))
    assert result.corrected.value == pytest.approx(0.5)
    assert result.corrected.high - result.corrected.low > 0.3


@pytest.mark.parametrize(
    ("right", "sensitivity", "specificity", "labels"), [(0.5, 0.9, 0.8, 60), (0.8, 0.85, 0.9, 100)]
)
def test_coverage(right: float, sensitivity: float, specificity: float, labels: int) -> None:
    """600 answers about 120 videos; the labeled ones are drawn at random. The judge is off by up to 5 points."""
    rng = np.random.default_rng(1)
    video = np.arange(600) // 5
    names, covered = video.tolist(), 0
    for _ in range(1000):
        truth = rng.random(600) < rng.beta(8 * right, 8 * (1 - right), 120)[video]
        judge = np.where(truth, rng.random(600) < sensitivity, rng.random(600) >= specificity)
        seen = rng.permutation(600) < labels
        human = [bool(one) if shown else None for one, shown in zip(truth, seen, strict=True)]
        result = calibrate(judge.tolist(), human, names).corrected
        covered += result.low <= right <= result.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_too_few_labels_are_an_error() -> None:
    with pytest.raises(ValueError, match="human labels in at least two clusters, found 0"):
        calibrate([True, False], [None, None], ["a", "b"])
    with pytest.raises(ValueError, match="a human label or None for each of 2 answers, found 1"):
        calibrate([True, False], [None], ["a", "b"])
