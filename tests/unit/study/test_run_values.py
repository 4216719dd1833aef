"""Values of questions over seeds: scores, pooled variances, the mean of a row and its interval."""

from __future__ import annotations

import statistics

import pytest

from vlmkit.errors import DataError
from vlmkit.spec.study import StudySpec
from vlmkit.study.paired_rows import mean_of_row, score_interval
from vlmkit.study.run_values import RunValues, pooled_seed_variance


def values(*of: float, strata: str = "", names: str = "abcdefgh") -> RunValues:
    ids = names[: len(of)]
    of_strata = dict(zip(ids, strata, strict=True)) if strata else None
    return RunValues(dict(zip(ids, of, strict=True)), {key: key for key in ids}, of_strata)


def study(**more: object) -> StudySpec:
    least = {"vlmkit": 1, "study": "s", "base": {"spec": "b.yaml"}, "grid": {"model.x": [1, 2]}, "seeds": [1, 2, 3]}
    return StudySpec.model_validate({**least, **more})


def test_a_score_is_the_mean_of_the_means_where_the_protocol_says_so() -> None:
    assert values(1.0, 0.0, 0.0, 0.0).score == 0.25
    assert values(1.0, 0.0, 0.0, 0.0, strata="xyyy").score == 0.5


def test_the_variance_over_seeds_is_pooled_by_degrees_of_freedom() -> None:
    rows = [[values(1.0), values(0.0)], [values(1.0), values(1.0), values(0.0)], [values(0.5)]]
    expected = (statistics.variance([1, 0]) + 2 * statistics.variance([1, 1, 0])) / 3
    assert pooled_seed_variance(rows) == (pytest.approx(expected), 3.0)


def test_one_seed_each_tells_no_variance() -> None:
    assert pooled_seed_variance([[values(1.0)], [values(0.0)]]) is None


def test_only_questions_that_all_runs_have_count() -> None:
    assert mean_of_row([values(1.0, 0.0, 1.0), values(0.0, 0.0)]).value == 0.25
    with pytest.raises(DataError, match="no question in common"):
        mean_of_row([values(1.0), values(1.0, names="z")])


@pytest.mark.parametrize("strata", ["", "xxyy"])
def test_the_interval_of_a_score_is_that_of_its_questions_at_least(strata: str) -> None:
    own = [values(1.0, 1.0, 1.0, 1.0, strata=strata)] * 2
    low, high = score_interval(study(), mean_of_row(own), own, (0.0, 1.0))
    assert low < 0.9, "four right answers are no proof"
    assert high == 1.0


def test_the_interval_of_a_study_that_may_stop_early_is_wider() -> None:
    own = [values(1.0, 1.0, 1.0, 1.0, 1.0, 0.0), values(1.0, 0.0, 0.0, 0.0, 0.0, 1.0)]
    once, always = (
        score_interval(one, mean_of_row(own), own, (-9.0, 9.0)) for one in (study(), study(stop_when={"difference": 1}))
    )
    assert always[0] < once[0] < once[1] < always[1]
