"""Rankings of systems and how stable they are: over the choice of questions and of seeds, and between two settings.

Letters: R rows (systems), S seeds of a row, n questions in clusters (videos), D draws.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmkit.statistics.clustering import clustered_covariance, clustered_mean, mean_of
from vlmkit.statistics.intervals import Estimate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["RankAgreement", "Ranking", "compare_rankings", "rank_rows", "rank_settings"]

_DRAWS = 10_000
_Values = Sequence[Sequence[Sequence[float]]]
"""(R, S, n), S of each row."""


@dataclass(frozen=True)
class Ranking:
    """Rows by their scores, the highest first."""

    scores: tuple[float, ...]
    """Mean of each row over its seeds and all questions."""
    ranks: tuple[int, ...]
    """1 and the number of rows with a higher score."""
    rank_intervals: tuple[tuple[int, int], ...]
    """95% interval of the rank of each row: from 1 and the number of rows that are significantly better, to R less
    those that are significantly worse, each in a comparison with all others at once."""
    above: np.ndarray
    """(R, R): how often the first row has a higher score than the second one, were questions and seeds drawn anew."""
    significant: np.ndarray
    """(R, R) of -1, 0, 1: 1 where the first row is significantly better than the second one, -1 where it is
    significantly worse: the 95% interval of that pair alone leaves out 0."""
    draws: np.ndarray
    """(D, R): scores of the rows, were questions and seeds drawn anew."""


@dataclass(frozen=True)
class RankAgreement:
    """Two settings on the same rows, e.g. a short and a long training."""

    tau: Estimate
    """Kendall's tau, 1: the same order, -1: the opposite one; a pair of equal scores counts 0."""
    pairs: int
    """R (R-1) / 2."""
    significant: int
    """Pairs whose difference is significant in the second setting."""
    same: int
    """Those of them whose difference is significant in the first one too, in the same direction."""
    opposite: int
    """Those of them whose difference is significant in the first one too, in the other direction."""
    loss: Estimate
    """By how much the first setting's best row is below the second setting's best one in the second setting's score,
    with a bound that holds in 95 of 100 studies."""


def rank_rows(
    values: _Values,
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    pooled: bool = True,
    draws: int = _DRAWS,
    seed: int = 0,
) -> Ranking:
    """Rank rows that were trained with several seeds and answered the same questions.

    Args:
        values: of each row and seed, n values; rows may have different numbers of seeds.
        clusters: the video, or the group, of each question, at least two.
        strata: a score is the mean of the means of these.
        pooled: the variance of one training's score is that of all rows together, or of each row alone.
        draws: D.
        seed: of the draws.

    Scores are drawn around those that were seen (a parametric bootstrap), with the two variances of
    `seeds.seeded_mean`: a vector of Student's t with the covariance of the rows over clusters of questions, less the
    interaction of questions and trainings, and for each row one of its seeds. So the difference
    of a pair is significant where its interval leaves out 0. The variance over seeds is not counted where no row has
    two seeds.

    Intervals of ranks hold the true rank of a row in 95 of 100 studies also where scores are equal, where quantiles of
    the drawn ranks do not: Mogstad, Romano, Shaikh and Wilhelm, Review of Economic Studies 91 (2024).
    """
    return rank_settings([values], clusters, strata, pooled, draws, seed)[0]


def rank_settings(
    settings: Sequence[_Values],
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    pooled: bool = True,
    draws: int = _DRAWS,
    seed: int = 0,
) -> list[Ranking]:
    """Rank rows in several settings that answered the same questions, which are drawn for all of them at once.

    Arguments as those of `rank_rows`; variances over seeds are pooled within a setting.
    """
    import numpy as np

    values = [row for setting in settings for row in setting]
    groups = [number for number, setting in enumerate(settings) for _ in setting]
    if not pooled:
        groups = list(range(len(values)))
    means = np.array([np.mean(np.asarray(row, dtype=float), 0) for row in values])
    scores = np.array([mean_of(row, strata) for row in means])
    question_covariance = _question_covariance(values, means, clusters, strata)
    seed_variances, degrees = _seed_variances(values, strata, groups)
    rng = np.random.default_rng(seed)
    known_from = clustered_mean(means.mean(0), clusters, strata).degrees
    around = rng.standard_normal((draws, len(scores))) @ _root(question_covariance).T * _scale(rng, known_from, draws)
    for group in dict.fromkeys(groups):
        rows = [row for row, one in enumerate(groups) if one == group]
        if degrees[rows[0]]:
            scale = _scale(rng, degrees[rows[0]], draws)
            around[:, rows] += rng.standard_normal((draws, len(rows))) * np.sqrt(seed_variances[rows]) * scale
    covariance = question_covariance + np.diag(seed_variances)
    ends = np.cumsum([len(setting) for setting in settings])
    parts = [slice(end - len(setting), end) for end, setting in zip(ends, settings, strict=True)]
    return [_ranking(scores[part], around[:, part], covariance[part, part]) for part in parts]


def _scale(rng: np.random.Generator, degrees: float, draws: int) -> np.ndarray:
    """Return (D, 1) factors that make normal numbers those of Student's t, for a variance that is known so well."""
    import numpy as np

    scale: np.ndarray = np.sqrt(degrees / rng.chisquare(degrees, (draws, 1)))
    return scale


def _ranking(scores: np.ndarray, around: np.ndarray, covariance: np.ndarray) -> Ranking:
    import numpy as np

    above, significant, intervals = _pairs(scores, around, np.sqrt(_variances_of_differences(covariance)))
    ranks = tuple(1 + int(np.sum(scores > own)) for own in scores)
    return Ranking(tuple(scores.tolist()), ranks, intervals, above, significant, scores + around)


def _question_covariance(
    values: _Values,
    means: np.ndarray,
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None,
) -> np.ndarray:
    """Return the covariance (R, R) of the scores over the choice of questions, of infinitely many trainings."""
    import numpy as np

    covariance = clustered_covariance(means, clusters, strata)
    for row, runs in enumerate(values):
        seeds = len(runs)
        if seeds > 1:
            deviations = np.asarray(runs, dtype=float) - means[row]
            interaction = np.trace(clustered_covariance(deviations, clusters, strata)) / (seeds * (seeds - 1))
            covariance[row, row] -= interaction
    return covariance


def _seed_variances(
    values: _Values, strata: Sequence[Hashable] | None, groups: Sequence[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of each row's score over trainings, and its degrees of freedom; 0 where it is not known."""
    import numpy as np

    squares: dict[int, list[float]] = {}
    for row, group in zip(values, groups, strict=True):
        scores = [mean_of(run, strata) for run in row]
        if len(scores) > 1:
            known = squares.setdefault(group, [0.0, 0.0])
            known[0] += float(np.var(scores, ddof=1)) * (len(scores) - 1)
            known[1] += len(scores) - 1
    of_one = [squares.get(group, [0.0, 0.0]) for group in groups]
    variances = [of[0] / of[1] / len(row) if of[1] else 0.0 for row, of in zip(values, of_one, strict=True)]
    return np.array(variances), np.array([of[1] for of in of_one])


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return a matrix whose product with its transpose is the nearest covariance without negative variances."""
    import numpy as np

    sizes, directions = np.linalg.eigh(covariance)
    root: np.ndarray = directions * np.sqrt(np.maximum(sizes, 0.0))
    return root


def _variances_of_differences(covariance: np.ndarray) -> np.ndarray:
    import numpy as np

    own = np.diag(covariance)
    variances: np.ndarray = np.maximum(own[:, None] + own - 2 * covariance, 0.0)
    return variances


def _pairs(
    scores: np.ndarray, around: np.ndarray, errors: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[int, int], ...]]:
    """Return how often each row is above each other one, which differences are significant, and intervals of ranks."""
    import numpy as np

    count = len(scores)
    above, significant = np.full((count, count), 0.5), np.zeros((count, count), dtype=int)
    intervals = []
    for row in range(count):
        others = np.arange(count) != row
        differences = scores[row] - scores[others]
        deviations = around[:, [row]] - around[:, others]  # D x (R - 1)
        drawn = differences + deviations
        above[row, others] = np.mean((drawn > 0) + 0.5 * (drawn == 0), 0)
        scale = np.where(errors[row, others] > 0, errors[row, others], 1.0)
        standard = np.abs(deviations) / scale
        each = np.quantile(standard, 0.95, axis=0) * scale
        significant[row, others] = np.where(np.abs(differences) > each, np.sign(differences), 0)
        all_at_once = np.quantile(standard.max(1), 0.95) * scale if count > 1 else scale
        better, worse = np.sum(differences < -all_at_once), np.sum(differences > all_at_once)
        intervals.append((1 + int(better), count - int(worse)))
    return above, significant, tuple(intervals)


def compare_rankings(first: Ranking, second: Ranking) -> RankAgreement:
    """Compare the rankings of the same rows in two settings.

    Draws belong together one by one: those of settings that answered the same questions come from `rank_settings`.

    Random variation makes the order of rows less alike than it is, and in the draws twice. So the end of tau's interval
    on the side of 0 is the quantile of the draws, which is on the safe side, and the other end is what the pairs leave
    whose difference is significant in both settings: were all others of the same order (or, where tau is negative, of
    the opposite one).
    """
    import numpy as np

    count = len(first.scores)
    pairs = count * (count - 1) // 2
    if not pairs:
        raise ValueError("expected at least two rows to compare the order of, found one")
    upper = np.triu_indices(count, 1)
    own, reference = first.significant[upper], second.significant[upper]
    same = int(np.sum((reference != 0) & (own == reference)))
    opposite = int(np.sum((reference != 0) & (own == -reference)))
    one, other = np.array(first.scores), np.array(second.scores)
    tau = float(_tau(one[None], other[None])[0])
    low, high = (float(end) for end in np.quantile(_tau(first.draws, second.draws), [0.025, 0.975]))
    if tau >= 0:
        high = max(high, 1 - 2 * opposite / pairs)
    else:
        low = min(low, 2 * same / pairs - 1)
    best = int(np.argmax(one))
    losses = second.draws.max(1) - second.draws[:, best]
    loss = Estimate(float(other.max() - other[best]), 0.0, float(np.quantile(losses, 0.95)))
    return RankAgreement(
        Estimate(tau, min(tau, low), max(tau, high)), pairs, int(np.sum(reference != 0)), same, opposite, loss
    )


def _tau(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Kendall's tau (tau-a) of each of D pairs of lists of R scores."""
    import numpy as np

    draws, count = first.shape
    agreeing = np.zeros(draws)
    for row in range(count - 1):
        signs = np.sign(first[:, [row]] - first[:, row + 1 :]) * np.sign(second[:, [row]] - second[:, row + 1 :])
        agreeing += signs.sum(1)
    return agreeing / (count * (count - 1) / 2)
