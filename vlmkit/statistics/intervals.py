"""95% intervals: a mean over questions, a mean of means, groups that must be right as a whole."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from statistics import NormalDist, stdev
from typing import Any, NamedTuple

from vlmkit.statistics.clustering import ClusteredMean, checked, clustered_mean, student_t

__all__ = ["Estimate", "all_right", "estimate", "from_draws", "macro", "wilson"]

_Z = NormalDist().inv_cdf(0.975)


class Estimate(NamedTuple):
    """A number with its 95% interval."""

    value: float
    low: float
    high: float


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95% score interval of a proportion `share` (0..1) seen in `n` independent trials; `n` need not be whole.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    z2 = _Z * _Z
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(center - half, share)), min(1.0, max(center + half, share))


def estimate(
    values: Sequence[float], clusters: Sequence[Hashable], lowest: float = 0.0, highest: float = 1.0
) -> Estimate:
    """The mean of `values` (each between `lowest` and `highest`) and its 95% interval, for a population of clusters.

    `clusters` has the video, or the group, of each value. Answers to questions about one video resemble each other, so
    n questions are worth fewer independent ones. The interval is Wilson's, with the share p = (mean - lowest) /
    (highest - lowest) and the effective number of questions

        n* = max(n p (1 - p) / s^2 / max(1, deff) * (t(n-1) / t(k-1))^2,  k)

    with s^2 the variance of the rescaled values (for right-or-wrong values p (1 - p)), t(d) the 97.5% quantile of
    Student's distribution with d degrees of freedom, videos of n_v questions each, k = n^2 / sum(n_v^2) their effective
    number (Kish), which is their number where all have as many questions, and the design effect

        deff = [k / (k-1) * sum over videos of (sum of (x - p))^2 / n^2] / [s^2 / (n-1)]

    the cluster-robust variance of the mean over that of independent questions. The floor of n* is its value when all
    answers about a video are alike (Kish): nothing can be worse. It also holds where no variance can be seen, with one
    video or all values equal. With one question per video this is Wilson's interval of n.

    Where `lowest` or `highest` is infinite there is no share; the interval is mean -+ t(k-1) * standard error, and with
    a single video it reaches to both ends.

    Sources: Korn and Graubard, Survey Methodology 24 (1998), for n* and its t correction; Miller, arXiv:2411.00640, for
    the clustered variance of evaluations; Kish, Survey Sampling (1965), for the floor.
    """
    return _interval(clustered_mean(values, clusters, None, _span(lowest, highest)), lowest, highest)


def macro(
    values: Sequence[float],
    strata: Sequence[Hashable],
    clusters: Sequence[Hashable],
    lowest: float = 0.0,
    highest: float = 1.0,
) -> Estimate:
    """The mean of the strata's means (tasks, question types, dimensions) and its 95% interval.

    As `estimate`, with the clustered variance and the degrees of freedom of `clustering.clustered_mean`, n - S in the
    place of n - 1, and the clusters' weights in Kish's floor. With one stratum it is `estimate`. Every stratum counts
    the same, those with few questions too; one of whose questions none has a value is not among `strata`, and whether
    it may be left out is the caller's decision.
    """
    checked(values, strata, "strata")
    return _interval(clustered_mean(values, clusters, strata, _span(lowest, highest)), lowest, highest)


def all_right(
    values: Sequence[float], groups: Sequence[Hashable], *columns: Sequence[Hashable]
) -> tuple[list[Any], ...]:
    """One value per group, the lowest of its questions' (1 where all are right), for the aggregates and comparisons.

    `columns` are attributes of the questions that a group shares, as its cluster or stratum: of each, one list with a
    label per group comes back after the values, in the order in which groups first appear. A ValueError where a group's
    questions differ in one.

        grouped, tasks, videos = all_right(values, groups, tasks, videos)
        macro(grouped, tasks, videos)
    """
    checked(values, groups, "groups")
    lowest: dict[Hashable, float] = {}
    shared: list[dict[Hashable, Hashable]] = [{} for _ in columns]
    for value, group in zip(values, groups, strict=True):
        lowest[group] = min(lowest.get(group, math.inf), float(value))
    for column, known in zip(columns, shared, strict=True):
        for group, label in zip(groups, column, strict=True):
            if known.setdefault(group, label) != label:
                raise ValueError(
                    f"group {group!r} has questions of {known[group]!r} and of {label!r}: expected one alone"
                )
    return list(lowest.values()), *(list(known.values()) for known in shared)


def from_draws(value: float, draws: Sequence[float]) -> Estimate:
    """A statistic that is no mean, and its 95% interval by the bootstrap: `value` -+ 1.96 times the spread of `draws`,
    which are the statistic of as many values drawn with replacement.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 12.
    """
    half = _Z * stdev(draws)
    return Estimate(value, value - half, value + half)


def _span(lowest: float, highest: float) -> float:
    """Return the range, by which values are divided; 1 where it is infinite."""
    return highest - lowest if math.isfinite(highest - lowest) else 1.0


def _interval(mean: ClusteredMean, lowest: float, highest: float) -> Estimate:
    span = highest - lowest
    if not math.isfinite(span):
        error = math.sqrt(max(mean.clustered, mean.independent))
        half = student_t(mean.degrees) * error if mean.clusters > 1 else math.inf
        return Estimate(mean.value, max(lowest, mean.value - half), min(highest, mean.value + half))
    share = min(1.0, max(0.0, (mean.value - lowest) / span))
    low, high = wilson(share, _effective(mean, share))
    return Estimate(mean.value, lowest + span * low, lowest + span * high)


def _effective(mean: ClusteredMean, share: float) -> float:
    """n*: how many independent right-or-wrong questions tell as much."""
    if mean.clusters == 1 or mean.variance < 1e-12:
        return mean.kish
    effect = max(1.0, mean.clustered / mean.independent)
    nominal = mean.n * share * (1 - share) / mean.variance
    ratio = student_t(max(1, mean.n - mean.strata)) / student_t(mean.degrees)
    return max(mean.kish, nominal / effect * ratio**2)
