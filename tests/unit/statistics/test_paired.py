"""Two systems on the same questions."""

from __future__ import annotations

import pytest
from scipy.stats import t

from vlmkit.statistics.paired import mcnemar, paired


@pytest.mark.parametrize(
    ("counts", "p"),
    [  # by hand: 2 * (sum of binomials up to the smaller) / 2^n
        ((0, 0), 1.0),
        ((1, 1), 1.0),
        ((5, 0), 2 / 32),
        ((1, 7), 2 * 9 / 256),
        ((9, 2), 2 * (1 + 11 + 55) / 2048),
    ],
)
def test_mcnemar_by_hand(counts: tuple[int, int], p: float) -> None:
    assert mcnemar(*counts) == pytest.approx(p)
    assert mcnemar(*reversed(counts)) == pytest.approx(p)


def test_independent_questions_by_hand() -> None:
    """Differences 1, 1, 1, -1 and six 0: mean 0.2, s^2 = (4 - 0.4) / 9 = 0.4, error 0.2, t(9) = 2.2622."""
    first, second = [1, 1, 1, 0, 1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1, 0, 0, 0]
    result = paired(first, second, range(10))
    assert (result.first, result.second) == (0.6, 0.4)
    assert result.difference == pytest.approx((0.2, 0.2 - 0.45243, 0.2 + 0.45243), abs=1e-5)
    assert (result.only_first, result.only_second) == ((0, 1, 2), (3,))
    assert result.p == pytest.approx(2 * 5 / 16)


def test_videos_by_hand() -> None:
    """Sums of deviations from 0.25 over three videos: 1, 0 and -1; variance 3/2 * 2/144 of the mean, t(2) = 4.3027."""
    differences = [1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    result = paired(differences, [0] * 12, [index // 4 for index in range(12)])
    assert result.difference == pytest.approx((0.25, 0.25 - 4.30265 * 0.144338, 0.25 + 4.30265 * 0.144338), abs=1e-4)
    assert result.p_clustered == pytest.approx(2 * t.sf(0.25 / 0.144338, 2), abs=1e-5)


def test_answers_that_are_alike_in_a_video_are_no_proof() -> None:
    """McNemar's test takes eight questions about two videos for eight witnesses; the interval and its p do not."""
    result = paired([1] * 8 + [0] * 12, [0] * 20, [index // 4 for index in range(20)])
    assert result.p < 0.01
    assert result.difference.low < 0
    assert result.p_clustered > 0.05
    assert paired([1, 0], [1, 0], [0, 0]).p_clustered == 1, "one video tells nothing"


def test_graded_answers() -> None:
    """Differences 2, -1, 0, 3: mean 1, s^2 = 10/3, error 0.91287, t(3) = 3.18245."""
    result = paired([5, 1, 3, 4], [3, 2, 3, 1], range(4), 0, 5)
    assert result.difference == pytest.approx((1, 1 - 2.90517, 1 + 2.90517), abs=1e-4)
    assert (result.only_first, result.only_second) == ((0, 3), (1,))
    assert result.p == 1.0


def test_the_difference_of_macros() -> None:
    first, second, tasks = [1, 1, 0, 1], [1, 0, 0, 0], ["x", "x", "x", "y"]
    result = paired(first, second, range(4), strata=tasks)
    assert (result.first, result.second) == pytest.approx((5 / 6, 1 / 6))
    assert result.difference.value == pytest.approx(2 / 3)


def test_strata_of_equal_weight_change_nothing() -> None:
    first, second, videos = (
        [1, 0, 1, 1, 0, 1, 1, 0] * 5,
        [0, 1, 1, 1, 0, 0, 1, 0] * 5,
        [index // 4 for index in range(40)],
    )
    plain, by_task = paired(first, second, videos), paired(first, second, videos, strata=[0, 1] * 20)
    assert by_task.difference == pytest.approx(plain.difference, rel=0.05)


@pytest.mark.parametrize(("first", "second"), [(1, 1), (1, 0), (0, 1)])
def test_what_is_alike_everywhere_is_not_certain(first: int, second: int) -> None:
    """Half-width t(99) * sqrt(2)/100 = 0.02806, cut at -1 and 1."""
    result = paired([first] * 100, [second] * 100, range(100)).difference
    assert result.value == first - second
    assert result.low == pytest.approx(max(-1, first - second - 0.02806), abs=1e-5)
    assert result.high == pytest.approx(min(1, first - second + 0.02806), abs=1e-5)


def test_one_video_tells_nothing() -> None:
    assert paired([1, 0, 1], [1, 0, 0], ["a"] * 3).difference[1:] == (-1, 1)


def test_other_questions_are_an_error() -> None:
    with pytest.raises(ValueError, match="as many values as clusters"):
        paired([1, 0], [1], ["a", "b"])
    with pytest.raises(ValueError, match="value 0 of 1 is nan"):
        paired([float("nan")], [1], ["a"])
