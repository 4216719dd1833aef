"""Agreement of judges."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from vlmkit.statistics.agreement import Level, agreement, confusion

PUBLISHED = (
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
)
"""Four observers and twelve units, from Krippendorff, Computing Krippendorff's Alpha-Reliability (2011), section C."""


@pytest.mark.parametrize(("level", "value"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_equals_published_values(level: Level, value: float) -> None:
    result = agreement(PUBLISHED, level)
    assert result.alpha is not None
    assert result.alpha.value == pytest.approx(value, abs=5e-4)
    assert result.alpha.low < value < result.alpha.high
    assert (result.answers, result.disagreements) == (11, (1, 5, 7))


def test_labels_by_hand() -> None:
    """Ten answers, one of them split: 2 of 20 values are in a pair that differs, 2 * 7 * 13 / 19 of pairs by chance."""
    result = agreement([[*"yyynnnnnnn"], [*"yyyynnnnnn"]]).alpha
    assert result is not None
    assert result.value == pytest.approx(1 - 2 / (2 * 7 * 13 / 19))


def test_numbers_of_any_size_keep_their_digits() -> None:
    small, large = ([[base + 0.25, base + 1, base + 2.5], [base, base + 1, base + 3]] for base in (0.0, 1e9))
    one, other = agreement(small, "interval").alpha, agreement(large, "interval").alpha
    assert one is not None
    assert other is not None
    assert other.value == pytest.approx(one.value)


def test_answers_of_one_video_widen_the_interval() -> None:
    first, second = [0, 1] * 60, [0, 1, 1, 0, 0, 1] * 20
    videos = [place // 2 % 3 for place in range(120)]
    alone, together = (agreement([first, second], clusters=names).alpha for names in (None, videos))
    assert alone is not None
    assert together is not None
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_seed_gives_the_same_interval() -> None:
    first, again, other = (agreement(PUBLISHED, seed=seed).alpha for seed in (3, 3, 4))
    assert first == again != other


@pytest.mark.parametrize("level", get_args(Level))
def test_without_variation_there_is_no_alpha(level: Level) -> None:
    result = agreement([[1, 1, 1], [1, 1, None]], level)
    assert (result.alpha, result.answers) == (None, 2)
    assert agreement([[1, None], [None, 1]], level).answers == 0


def test_confusion_has_a_row_for_each_label_of_the_first_judge() -> None:
    table = confusion([True, True, False, None, True], [True, False, False, True, None])
    assert table.labels == (False, True)
    assert table.counts == ((1, 0), (1, 1))
    assert confusion(["no", 3], [3, "no"]).counts == ((0, 1), (1, 0))


@pytest.mark.parametrize(
    ("ratings", "level", "said"),
    [
        ([[1, 2]], "nominal", "at least two judges, found 1"),
        ([[1, 2], [1]], "nominal", "as many ratings of each judge, found 2, 1"),
        ([[1, math.nan], [1, 1]], "nominal", "rating 1 of judge 0 is nan"),
        ([[1, "yes"], [1, 2]], "interval", "'yes': expected a number"),
        ([list(range(300)), list(range(300))], "ordinal", "at most 200 different ordinal ratings, found 300"),
    ],
)
def test_what_cannot_be_compared_is_an_error(ratings: list[list[float]], level: Level, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        agreement(ratings, level)


def test_clusters_are_of_all_answers() -> None:
    with pytest.raises(ValueError, match="a cluster for each of 2 answers, found 1"):
        agreement([[1, 2], [1, 2]], clusters=["a"])
