"""Intervals of means over clustered questions, of means of means, and of groups."""

from __future__ import annotations

import math
import random

import pytest

from vlmkit.statistics.intervals import all_right, estimate, from_draws, macro, wilson


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


def test_nothing_to_estimate_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        estimate([], [])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_named(bad: float) -> None:
    with pytest.raises(ValueError, match="value 2 of 3 is"):
        estimate([1.0, 0.0, bad], range(3))


def test_without_an_upper_end_it_is_the_t_interval() -> None:
    """By hand: cluster means 2 and 4, standard error 1, t(1) = 12.706."""
    result = estimate([1.0, 3.0, 3.0, 5.0], ["a", "a", "b", "b"], 0.0, math.inf)
    assert result == pytest.approx((3.0, 0.0, 3.0 + 12.7062), abs=1e-4)
    assert estimate([1.0, 3.0], ["a", "a"], 0.0, math.inf) == (2.0, 0.0, math.inf)


def test_macro_with_videos_in_both_strata() -> None:
    """By hand: stratum means 0.75 and 0.5. With two videos there is 1 degree of freedom, whose t of 12.7 makes n* less
    than its floor: two videos of equal weight count as 2.
    """
    result = macro([1, 0, 1, 1, 0, 1], ["x", "x", "x", "x", "y", "y"], ["a", "a", "b", "b", "a", "b"])
    assert result == pytest.approx((0.625, *wilson(0.625, 2)))


def test_macro_of_one_stratum_is_the_mean() -> None:
    values, videos = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0] * 8, [index // 4 for index in range(56)]
    assert macro(values, ["one"] * 56, videos) == pytest.approx(estimate(values, videos))


def test_an_interval_is_wider_where_few_videos_have_most_questions() -> None:
    values = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0] * 8
    few_large = estimate(values, [0] * 20 + [1] * 10 + [2 + index // 2 for index in range(26)])
    all_alike = estimate(values, [index * 15 // 56 for index in range(56)])
    assert few_large.value == all_alike.value
    assert few_large.high - few_large.low > all_alike.high - all_alike.low


def test_macro_of_independent_strata() -> None:
    """By hand: with a = 0.25/99 and b = 0.16/24 the variance is (a + b) / 4, at (a + b)^2 / (a^2/99 + b^2/24) = 44.09
    degrees of freedom, so n* = 0.65 * 0.35 / (a + b) * 4 * 125/124 * (t(123)/t(44.09))^2 = 96.283.
    """
    values = [1.0] * 50 + [0.0] * 50 + [1.0] * 20 + [0.0] * 5
    result = macro(values, ["x"] * 100 + ["y"] * 25, range(125))
    assert result.value == pytest.approx(0.65)
    assert result[1:] == pytest.approx(wilson(0.65, 96.2831))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_macro_of_all_alike_is_not_certainty(share: float) -> None:
    assert macro([share] * 12, [0, 1, 2] * 4, range(12))[1:] == pytest.approx(wilson(share, 12))


def test_a_stratum_with_one_video_adds_to_the_interval() -> None:
    many = [1.0, 0.0, 1.0, 1.0] * 10
    alone = macro([*many, 0.0], ["x"] * 40 + ["y"], range(41))
    assert alone.value == 0.375
    assert alone.high - alone.low > 0.5


def test_nothing_to_average_over_is_an_error() -> None:
    with pytest.raises(ValueError, match="as many values as strata"):
        macro([1.0], [], ["a"])


def test_a_group_is_right_when_all_its_questions_are() -> None:
    values, tasks, videos = all_right([1, 1, 0, 1, 1], ["g", "h", "g", "h", "i"], ["x", "y", "x", "y", "x"], "ababa")
    assert values == [0.0, 1.0, 1.0]
    assert (tasks, videos) == (["x", "y", "x"], ["a", "b", "a"])
    assert macro(values, tasks, videos).value == 0.75


def test_a_group_across_strata_is_an_error() -> None:
    with pytest.raises(ValueError, match="group 'g' has questions of 'x' and of 'y'"):
        all_right([1, 1], ["g", "g"], ["x", "y"])
    with pytest.raises(ValueError, match="at least one"):
        all_right([], [])


def test_the_bootstrap_of_a_mean_is_about_its_interval() -> None:
    values = [0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0] * 25
    draw = random.Random(1)
    draws = [math.fsum(draw.choices(values, k=200)) / 200 for _ in range(1000)]
    found = from_draws(0.625, draws)
    assert found.value == 0.625
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(0.625 * 0.375 / 200), rel=0.05)
