"""Two systems on the same questions: difference, McNemar's test, where they part."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmkit.statistics.clustering import ClusteredMean, checked, clustered_mean, mean_of, student_t
from vlmkit.statistics.intervals import Estimate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Paired", "mcnemar", "paired", "variance_of_differences"]


@dataclass(frozen=True)
class Paired:
    """The comparison of a first system with a second one, question by question."""

    first: float
    """The first system's mean."""
    second: float
    """The second system's mean."""
    difference: Estimate
    """First minus second, in the unit of the values."""
    only_first: tuple[int, ...]
    """Positions of the questions on which the first system has the higher value."""
    only_second: tuple[int, ...]
    """Positions of the questions on which the second system has the higher value."""
    p: float
    """Of McNemar's exact test, two-sided: how likely so uneven a split is where neither system is better."""
    p_clustered: float
    """Of the t test of `difference` over clusters, two-sided: below 0.05 where its interval leaves out 0."""


def paired(
    first: Sequence[float],
    second: Sequence[float],
    clusters: Sequence[Hashable],
    lowest: float = 0.0,
    highest: float = 1.0,
    strata: Sequence[Hashable] | None = None,
) -> Paired:
    """Compare two systems on the same questions, right-or-wrong or graded between `lowest` and `highest`.

    `first[i]` and `second[i]` are the values of both on question i, `clusters[i]` its video or group. With `strata`
    both means are means of the strata's means, and so is the difference.

    The interval is d -+ t * sqrt(v), with d the mean of the questions' differences, v its variance over clusters and t
    the 97.5% quantile of Student's distribution (both of `clustering.clustered_mean`). Where at most one cluster shows
    a difference, or all differences are equal, v tells nothing; it is then at least that of one difference more for
    each side, 2 (largest difference / k)^2, with k the number of independent questions (Kish). So two systems that
    agree on k questions have about -+2.8/k, near the 3/k below which "none of k" puts a share.

    Source: Miller, arXiv:2411.00640, section 4.2.
    """
    from scipy.special import stdtr  # type: ignore[import-untyped]

    a, b = checked(first, clusters), checked(second, clusters)
    differences = a - b
    mean = clustered_mean(differences, clusters, strata)
    span = highest - lowest
    half, p_clustered = math.inf, 1.0
    if mean.clusters > 1:
        error = math.sqrt(variance_of_differences(differences, clusters, mean, span))
        half = student_t(mean.degrees) * error
        p_clustered = 2 * float(stdtr(mean.degrees, -abs(mean.value) / error)) if error else float(mean.value == 0)
    up, down = (tuple(sign.nonzero()[0].tolist()) for sign in (differences > 0, differences < 0))
    return Paired(
        mean_of(a, strata),
        mean_of(b, strata),
        Estimate(mean.value, max(-span, mean.value - half), min(span, mean.value + half)),
        up,
        down,
        mcnemar(len(up), len(down)),
        p_clustered,
    )


def variance_of_differences(
    differences: np.ndarray, clusters: Sequence[Hashable], mean: ClusteredMean, span: float
) -> float:
    """Return the variance of the mean of questions' differences over clusters, as `paired` takes it: at least that of
    one difference more for each side, where the differences that were seen tell nothing of it.

    Args:
        differences: of the questions.
        clusters: the video or group of each.
        mean: their `clustered_mean`.
        span: the largest difference that is possible.
    """
    import numpy as np

    differing = {clusters[place] for place in differences.nonzero()[0].tolist()}
    if len(differing) < 2 or np.ptp(differences) == 0:
        return max(mean.clustered, 2 * ((float(abs(differences).max()) or span) / mean.kish) ** 2)
    return mean.clustered


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p of McNemar's test; for graded answers, the sign test. 1 where nothing differs.

    Questions count as independent of each other; the interval of `paired` is the one that knows of clusters.

    Source: McNemar, Psychometrika 12 (1947), with the binomial distribution in the place of its approximation.
    """
    from scipy.special import bdtr

    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))
