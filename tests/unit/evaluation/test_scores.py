"""Intervals of means over clustered questions."""

from __future__ import annotations

import random

import pytest

from vlmkit.evaluation.scores import estimate, wilson


@pytest.mark.parametrize(
    ("share", "n", "low", "high"),
    [  # published values of Wilson's interval (Newcombe, Statistics in Medicine 17 (1998), table I)
        (81 / 263, 263, 0.2553, 0.3662),
        (15 / 148, 148, 0.0624, 0.1605),
        (0.0, 20, 0.0000, 0.1611),
        (1 / 29, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_equals_published_values(share: float, n: int, low: float, high: float) -> None:
    assert wilson(share, n) == pytest.approx((low, high), abs=5e-5)


def test_one_question_per_video_is_wilson() -> None:
    values = [1.0] * 15 + [0.0] * 133
    assert estimate(values, range(148))[1:] == pytest.approx(wilson(15 / 148, 148))


def test_questions_that_agree_within_each_video_count_as_one() -> None:
    values = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0] * 40
    videos = [index // 3 for index in range(240)]
    assert estimate(values, videos)[1:] == pytest.approx(wilson(0.5, 80), abs=2e-3)


def test_more_questions_about_the_same_videos_do_not_narrow_it() -> None:
    once = estimate([1.0, 0.0] * 10, range(20))
    tenfold = estimate([1.0, 0.0] * 100, [index % 20 for index in range(200)])
    assert tenfold == pytest.approx(once, abs=1e-9)


def test_few_videos_are_paid_for_with_student_s_t() -> None:
    """By hand: deff = (5/4 * 5.2/400) / (0.24/19) = 1.286, n* = 20 / 1.286 * (2.093/2.776)^2 = 8.84, Wilson of that."""
    values = (1, 1, 1, 0), (1, 1, 0, 0), (1, 0, 0, 0), (1, 1, 1, 1), (0, 0, 1, 1)
    result = estimate([value for video in values for value in video], [index // 4 for index in range(20)])
    assert result == pytest.approx((0.6, 0.298, 0.841), abs=5e-4)


def test_videos_that_balance_their_questions_do_not_narrow_it() -> None:
    """By hand: no sum differs, yet deff counts as 1, so n* = 100 * (1.98422/2.00958)^2 = 97.49, Wilson of that."""
    result = estimate([1.0, 0.0] * 50, [index // 2 for index in range(100)])
    assert result == pytest.approx((0.5, 0.4026, 0.5974), abs=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_all_alike_is_not_certainty(share: float) -> None:
    result = estimate([share] * 131, [index % 4 for index in range(131)])
    assert result.value == share
    assert result[1:] == pytest.approx(wilson(share, 4), abs=1e-3)


def test_one_question_and_one_video() -> None:
    assert estimate([1.0], ["a"])[1:] == pytest.approx(wilson(1.0, 1))
    assert estimate([1.0, 0.0] * 30, ["a"] * 60)[1:] == pytest.approx(wilson(0.5, 1))


def test_scores_keep_their_range() -> None:
    result = estimate([5.0, 5.0, 4.0, 5.0], range(4), 0.0, 5.0)
    assert result.value == 4.75
    assert 0 < result.low < 4.75 < result.high <= 5


def test_scores_around_the_middle_follow_the_t_interval() -> None:
    values = [2.0, 3.0] * 50
    result = estimate(values, range(100), 0.0, 5.0)
    half = 1.9842 * (0.25 * 100 / 99 / 100) ** 0.5  # t(99), standard error of the mean
    assert result.high - result.low == pytest.approx(2 * half, rel=0.03)


@pytest.mark.parametrize(
    ("videos", "each", "alpha", "beta"), [(40, 6, 4.0, 1.0), (8, 10, 1.0, 1.0), (150, 3, 9.0, 1.0)]
)
def test_coverage_with_correlated_questions(videos: int, each: int, alpha: float, beta: float) -> None:
    rng = random.Random(1)
    truth, covered, rounds = alpha / (alpha + beta), 0, 400
    for _ in range(rounds):
        shares = [rng.betavariate(alpha, beta) for _ in range(videos)]
        values = [float(rng.random() < share) for share in shares for _ in range(each)]
        result = estimate(values, [index // each for index in range(len(values))])
        covered += result.low <= truth <= result.high
    assert 0.92 <= covered / rounds <= 0.99


def test_nothing_to_estimate_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        estimate([], [])
