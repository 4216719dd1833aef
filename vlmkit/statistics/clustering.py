"""Means over questions that share a video or group: variances, standard errors, design effect.

Letters: n questions in S strata (tasks, types) and m clusters (videos, groups); stratum s has n_s questions in m_s
clusters.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "ClusteredMean",
    "StandardErrors",
    "checked",
    "clustered_covariance",
    "clustered_mean",
    "codes",
    "mean_of",
    "standard_errors",
    "student_t",
]


class ClusteredMean(NamedTuple):
    """A mean with its variance, from the weighted deviations d = w (x - mean of the stratum) / span.

    Weights are n / (S n_s): 1 where there is one stratum.
    """

    value: float
    n: int
    strata: int
    clusters: int
    variance: float
    """Of a single answer: sum of d^2 / n, each stratum's part times n_s (n-1) / ((n_s-1) n)."""
    clustered: float
    """Variance of the mean over clusters; infinite with a single cluster."""
    degrees: float
    """Degrees of freedom of `clustered`."""
    kish: float
    """k: how many independent answers tell as much where all answers in a cluster are alike, the square of the sum of
    the clusters' weights over the sum of their squares (Kish, Survey Sampling (1965))."""

    @property
    def independent(self) -> float:
        """Variance of the mean if all answers were independent of each other; infinite for a single answer."""
        return self.variance / (self.n - 1) if self.n > 1 else math.inf


def clustered_mean(
    values: Sequence[float] | np.ndarray,
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    span: float = 1.0,
) -> ClusteredMean:
    """The mean of `values`, or with `strata` the mean of the strata's means, and its variance over clusters.

    A cluster may have questions in several strata: its deviations are summed over all of them before they are squared.

        clustered = k/(k-1) * sum over clusters of (sum over strata of c_s * sum of d)^2 / n^2

    With c_s^2 = [k_s/(k_s-1)] / [k/(k-1)], so each stratum has its own correction for few clusters. k is Kish's number,
    to which a cluster counts by its size: where one video has a third of all questions, intervals that count it as one
    of m are too narrow. With clusters of one size k is m, and this is CR1.

    A stratum with a single cluster shows no variance of its own: its deviations are from the mean of all (as
    `lonely.psu = "adjust"` of R's `survey`), and its c is 1. Degrees of freedom are Satterthwaite's over the strata, at
    most k - 1 and at least 1. Variances are in units of `span`^2.

    Sources: Miller, arXiv:2411.00640; Cameron and Miller, Journal of Human Resources 50 (2015), for CR1 and for fewer
    effective clusters where sizes differ; Satterthwaite, Biometrics Bulletin 2 (1946).
    """
    import numpy as np

    x = checked(values, clusters)
    sums = _Sums(clusters, strata)
    n, m, s, k = len(x), sums.m, len(sums.sizes), sums.k
    stratum, means = _strata(x, strata)
    value = math.fsum(means) / s
    deviations = sums.deviations(x, means, value) / span
    sizes = sums.sizes
    of_answers = np.where(sizes > 1, sizes * (n - 1) / np.maximum((sizes - 1) * n, 1), 1.0)
    totals = sums.totals(deviations)
    of_clusters = np.bincount(sums.cell_cluster, totals)
    parts = np.bincount(sums.cell_stratum, totals * totals)
    return ClusteredMean(
        value,
        n,
        s,
        m,
        math.fsum(of_answers[stratum] * deviations * deviations) / n,
        k / (k - 1) * math.fsum(of_clusters * of_clusters) / (n * n) if m > 1 else math.inf,
        _degrees(parts, np.where(sums.lonely, 2, sums.k_s), k),
        k,
    )


def clustered_covariance(
    values: Sequence[Sequence[float]] | np.ndarray,
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
) -> np.ndarray:
    """Return the covariance (R, R) of the means of R lists of values (R, n) of the same n questions.

    On its diagonal are the variances `clustered` of `clustered_mean`. A ValueError where all questions are one cluster.
    """
    import numpy as np

    sums = _Sums(clusters, strata)
    if sums.m < 2:
        raise ValueError("expected questions in at least two clusters, found one")
    rows = []
    for row in values:
        x = checked(row, clusters)
        means = _strata(x, strata)[1]
        deviations = sums.deviations(x, means, math.fsum(means) / len(means))
        rows.append(np.bincount(sums.cell_cluster, sums.totals(deviations)))
    of_clusters = np.array(rows)
    covariance: np.ndarray = sums.k / (sums.k - 1) * (of_clusters @ of_clusters.T) / len(clusters) ** 2
    return covariance


class _Sums:
    """The sums of weighted deviations over the questions of one cluster in one stratum, a cell."""

    def __init__(self, clusters: Sequence[Hashable], strata: Sequence[Hashable] | None) -> None:
        import numpy as np

        n, (cluster, self.m) = len(clusters), codes(clusters)
        self.stratum = np.zeros(n, dtype=np.intp) if strata is None else codes(strata)[0]
        self.sizes = np.bincount(self.stratum)
        cells, self.cell = np.unique(self.stratum * self.m + cluster, return_inverse=True)
        self.cell_stratum, self.cell_cluster = cells // self.m, cells % self.m
        held = np.bincount(self.cell_stratum)  # m_s
        self.weights = n / (len(self.sizes) * self.sizes)
        self.k = _kish(np.bincount(cluster, self.weights[self.stratum]))
        self.k_s = self.sizes**2 / np.bincount(self.cell_stratum, np.bincount(self.cell) ** 2)
        self.lonely = held == 1
        self._corrections = np.ones(len(self.sizes))
        of_several = self.k_s[~self.lonely]
        self._corrections[~self.lonely] = of_several * (self.k - 1) / ((of_several - 1) * self.k)

    def deviations(self, x: np.ndarray, means: np.ndarray, value: float) -> np.ndarray:
        """Return d of each question, from the means of the strata and the mean of all."""
        import numpy as np

        centers = np.where(self.lonely, value, means)
        weighted: np.ndarray = self.weights[self.stratum] * (x - centers[self.stratum])
        return weighted

    def totals(self, deviations: np.ndarray) -> np.ndarray:
        """Return c_s * sum of d of each cell."""
        import numpy as np

        totals: np.ndarray = np.bincount(self.cell, deviations) * np.sqrt(self._corrections)[self.cell_stratum]
        return totals


def mean_of(values: Sequence[float] | np.ndarray, strata: Sequence[Hashable] | None = None) -> float:
    """The mean of `values`, or with `strata` the mean of the strata's means."""
    means = _strata(values, strata)[1]
    return math.fsum(means) / len(means)


def _strata(values: Sequence[float] | np.ndarray, strata: Sequence[Hashable] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the number of each value's stratum, and the strata's means."""
    import numpy as np

    if strata is None:
        return np.zeros(len(values), dtype=np.intp), np.array([math.fsum(values) / len(values)])
    stratum, _ = codes(strata)
    return stratum, np.bincount(stratum, checked(values, strata, "strata")) / np.bincount(stratum)


def _kish(weights: np.ndarray) -> float:
    """How many independent answers tell as much, where all answers of a cluster are alike."""
    return math.fsum(weights) ** 2 / math.fsum(weights * weights)


def _degrees(parts: np.ndarray, counts: np.ndarray, k: float) -> float:
    """Satterthwaite's degrees of freedom of a sum of variances, each of so many clusters; between 1 and k - 1."""
    total = parts.sum()
    shares = parts / total if total > 0 else parts
    lost = float((shares**2 * (k - 1) / (counts - 1)).sum())
    return max(1.0, min(k - 1, (k - 1) / lost if lost > 0 else math.inf))


class StandardErrors(NamedTuple):
    """Standard errors of a mean as evaluations publish them, and the ratio of their squares."""

    independent: float
    """s / sqrt(n), as if all answers were independent of each other."""
    clustered: float
    """sqrt(sum over clusters of (sum of deviations)^2) / n."""
    design_effect: float
    """clustered^2 / independent^2: this many times more questions are needed. 1 where all values are alike."""


def standard_errors(
    values: Sequence[float], clusters: Sequence[Hashable], strata: Sequence[Hashable] | None = None
) -> StandardErrors:
    """The standard errors of a mean, or with `strata` of a mean of means, without correction for few clusters (CR0).

    Equation 4 of Miller, arXiv:2411.00640, and what published figures are made with; intervals use the corrected
    variance of `clustered_mean`. In the unit of the values.
    """
    import numpy as np

    x = checked(values, clusters)
    (stratum, means), (cluster, _) = _strata(x, strata), codes(clusters)
    deviations = (x - means[stratum]) / (len(means) * np.bincount(stratum))[stratum]
    sums = np.bincount(cluster, deviations)
    independent, clustered = math.fsum(deviations * deviations), math.fsum(sums * sums)
    effect = clustered / independent if independent > 0 else 1.0
    return StandardErrors(math.sqrt(independent), math.sqrt(clustered), effect)


def checked(values: Sequence[float] | np.ndarray, labels: Sequence[Hashable], what: str = "clusters") -> np.ndarray:
    """Return the values as an array. A ValueError where lengths differ, there is none, or one is not finite."""
    import numpy as np

    if len(values) != len(labels) or not len(values):
        raise ValueError(f"expected as many values as {what} and at least one, found {len(values)} and {len(labels)}")
    x = np.asarray(values, dtype=float)
    finite = np.isfinite(x)
    if not finite.all():
        place = int(np.argmin(finite))
        raise ValueError(f"value {place} of {len(x)} is {x[place]}: expected a finite number")
    return x


def codes(labels: Sequence[Hashable]) -> tuple[np.ndarray, int]:
    """Return a number from 0 for each label, in the order in which they come, and how many differ."""
    import numpy as np

    known: dict[Hashable, int] = {}
    numbers = [known.setdefault(label, len(known)) for label in labels]
    return np.array(numbers, dtype=np.intp), len(known)


def student_t(degrees: float, level: float = 0.975) -> float:
    """Return a quantile of Student's t, by default the 97.5% one."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(degrees, level))
