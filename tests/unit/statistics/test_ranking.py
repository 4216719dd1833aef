"""Rankings: what is told apart, ranks with intervals, and two settings compared."""

from __future__ import annotations

import numpy as np
import pytest

from vlmkit.statistics.ranking import Ranking, compare_rankings, rank_rows, rank_settings
from vlmkit.statistics.seeds import seeded_mean

QUESTIONS, CLIPS = 600, [number // 3 for number in range(600)]


def answers(rights: list[float], seeds: int = 3, seed: int = 0) -> list[list[list[float]]]:
    """Of each row and seed, answers that are right with a probability."""
    rng = np.random.default_rng(seed)
    return [(rng.random((seeds, QUESTIONS)) < right).astype(float).tolist() for right in rights]


def test_rows_that_differ_much_have_one_rank_each() -> None:
    found = rank_rows(answers([0.5, 0.9, 0.7]), CLIPS)
    assert found.ranks == (3, 1, 2)
    assert found.rank_intervals == ((3, 3), (1, 1), (2, 2))
    assert found.significant.tolist() == [[0, -1, -1], [1, 0, 1], [1, -1, 0]]
    assert found.above[1, 0] > 0.99
    assert found.above[0, 1] == pytest.approx(1 - found.above[1, 0])


def test_rows_that_are_alike_can_have_any_rank() -> None:
    found = rank_rows(answers([0.6, 0.6, 0.6]), CLIPS)
    assert found.rank_intervals == ((1, 3),) * 3
    assert not found.significant.any()


def test_equal_rows_share_their_rank() -> None:
    same = answers([0.6])[0]
    found = rank_rows([same, same, answers([0.9], seed=1)[0]], CLIPS)
    assert found.ranks == (2, 2, 1)
    assert found.above[0, 1] == pytest.approx(0.5, abs=0.02)


def test_a_difference_is_significant_where_its_interval_leaves_out_0() -> None:
    """As `seeded_mean` has it, with the variance of each row's seeds known from all rows."""
    values = answers([0.6, 0.63, 0.66, 0.69, 0.72], seed=4)
    found = rank_rows(values, CLIPS, draws=40_000)
    own = [np.var(np.mean(row, 1), ddof=1) for row in values]
    pooled, degrees = 2 * float(np.mean(own)), 10.0
    for one in range(5):
        for other in range(one):
            differences = (np.array(values[one]) - np.array(values[other])).tolist()
            mean = seeded_mean(differences, CLIPS, pooled=(pooled, degrees))
            share = float(found.above[one, other])
            assert 2 * min(share, 1 - share) == pytest.approx(mean.p, abs=0.03)
            if not 0.02 < mean.p < 0.08:
                assert (mean.p < 0.05) == bool(found.significant[one, other])


def test_few_clips_tell_less_than_many() -> None:
    """As `seeded_mean` has it, by Student's t for the variance over six clips."""
    clips = [number // 100 for number in range(QUESTIONS)]
    values = answers([0.6, 0.63, 0.66, 0.69], seeds=1, seed=4)
    found = rank_rows(values, clips, draws=40_000)
    for one in range(4):
        for other in range(one):
            p = seeded_mean((np.array(values[one]) - np.array(values[other])).tolist(), clips).p
            share = float(found.above[one, other])
            assert 2 * min(share, 1 - share) == pytest.approx(p, abs=0.01)


def test_more_seeds_make_an_order_surer() -> None:
    def widths(seeds: int) -> int:
        found = rank_rows(answers([0.6, 0.64, 0.68, 0.72], seeds), CLIPS)
        return sum(high - low for low, high in found.rank_intervals)

    assert widths(20) < widths(2)


def test_own_variances_are_less_sure_than_pooled_ones() -> None:
    values = answers([0.6, 0.66, 0.72], seeds=2, seed=2)
    pooled, own = (np.std(rank_rows(values, CLIPS, pooled=way).draws, 0).sum() for way in (True, False))
    assert own != pytest.approx(pooled, rel=0.01)


def test_one_seed_counts_the_questions_alone() -> None:
    values = answers([0.5, 0.55], seeds=1)
    found = rank_rows(values, CLIPS, draws=40_000)
    expected = seeded_mean((np.array(values[0]) - np.array(values[1])).tolist(), CLIPS)
    assert np.std(found.draws[:, 0] - found.draws[:, 1]) == pytest.approx(np.sqrt(expected.question_variance), rel=0.02)


def test_strata_are_means_of_means() -> None:
    strata = ["a" if number < 30 else "b" for number in range(QUESTIONS)]
    values = answers([0.5, 0.62])
    values[0] = [[1.0] * 30 + run[30:] for run in values[0]]
    with_strata, without = rank_rows(values, CLIPS, strata), rank_rows(values, CLIPS)
    assert with_strata.ranks == (1, 2)
    assert without.ranks == (2, 1)


def test_settings_on_the_same_questions_are_drawn_together() -> None:
    row = answers([0.3, 0.6], seeds=1)
    first, second = rank_settings([row, row], CLIPS)
    assert np.corrcoef(first.draws[:, 0], second.draws[:, 0])[0, 1] > 0.99


def ranked(scores: list[float], seed: int) -> Ranking:
    return rank_rows(answers(scores, seeds=4, seed=seed), CLIPS, draws=2000)


def test_the_same_order_has_a_tau_of_1() -> None:
    found = compare_rankings(ranked([0.2, 0.4, 0.6, 0.8], 0), ranked([0.25, 0.45, 0.65, 0.9], 1))
    assert found.tau == (1.0, 1.0, 1.0)
    assert (found.pairs, found.significant, found.same, found.opposite) == (6, 6, 6, 0)
    assert found.loss.value == 0.0
    assert found.loss.high == pytest.approx(0.0, abs=1e-9)


def test_another_order_is_told_with_what_it_costs() -> None:
    found = compare_rankings(ranked([0.2, 0.4, 0.8, 0.6], 0), ranked([0.2, 0.4, 0.6, 0.8], 1))
    assert found.tau.value == pytest.approx(4 / 6)
    assert found.opposite == 1
    assert found.loss.value == pytest.approx(0.2, abs=0.03)
    assert found.loss.high > found.loss.value


def test_the_interval_of_tau_reaches_to_what_cannot_be_told() -> None:
    found = compare_rankings(ranked([0.6, 0.6, 0.61, 0.61], 0), ranked([0.6, 0.61, 0.6, 0.61], 1))
    assert found.tau.low < 0 < found.tau.high
    reverse = compare_rankings(ranked([0.8, 0.6, 0.4], 0), ranked([0.4, 0.6, 0.8], 1))
    assert reverse.tau == (-1.0, -1.0, -1.0)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two clusters"):
        rank_rows(answers([0.5, 0.6]), ["one"] * QUESTIONS)
    alone = rank_rows(answers([0.5]), CLIPS)
    assert alone.rank_intervals == ((1, 1),)
    with pytest.raises(ValueError, match="at least two rows"):
        compare_rankings(alone, alone)
