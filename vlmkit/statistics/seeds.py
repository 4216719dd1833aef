"""Scores over several trainings: intervals and tests that count both sources of chance, the questions and the seeds.

Letters: S seeds (trainings), n questions in clusters (videos).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vlmkit.statistics.clustering import clustered_mean
from vlmkit.statistics.intervals import Estimate
from vlmkit.statistics.paired import variance_of_differences

if TYPE_CHECKING:
    import numpy as np

__all__ = ["SeededMean", "half_width", "holm", "seeded_mean"]

_NODES = 2000
"""Quantiles of Student's t over which a probability is averaged."""
_MANY = 100
"""Degrees of freedom from which on Student's t is near a normal distribution."""


@dataclass(frozen=True)
class SeededMean:
    """A mean over seeds and questions, or a mean of differences, with the variance that each of them brings.

    Mean minus truth is taken as `t(question_degrees) sqrt(question_variance) + t(degrees) sqrt(seed_variance)`: the
    solution of Behrens and Fisher for two variances that are known from few videos and few trainings. Its 95% interval
    holds the truth in 95 to 97 of 100 studies also with two or three seeds, where Satterthwaite's degrees of freedom
    give 90 to 98.
    """

    value: float
    question_variance: float
    """Variance of the mean over the choice of questions: as if each system was trained infinitely often."""
    seed_variance: float
    """Variance of the mean over trainings that answer the same questions; 0 where it is not known."""
    degrees: float
    """Degrees of freedom of `seed_variance`; 0 where it is not known: there was one training."""
    seeds: int
    """S."""
    question_degrees: float = math.inf
    """Degrees of freedom of `question_variance`, those of `clustering.clustered_mean`: few videos tell it badly."""

    @property
    def seed_deviation(self) -> float:
        """The standard deviation of one training's score; 0 where it is not known."""
        return math.sqrt(self.seed_variance * self.seeds)

    def interval(self, lowest: float = -math.inf, highest: float = math.inf) -> Estimate:
        """Return the mean with its 95% interval, within the range of the values."""
        half = half_width(
            self.question_variance, self.seed_variance, self.degrees, question_degrees=self.question_degrees
        )
        return Estimate(self.value, max(lowest, self.value - half), min(highest, self.value + half))

    @property
    def p(self) -> float:
        """How likely a mean so far from 0 is where the truth is 0, two-sided: below 0.05 where the interval leaves 0
        out."""
        return 1 - _within(
            abs(self.value), self.question_variance, self.seed_variance, self.degrees, self.question_degrees
        )


def seeded_mean(
    values: Sequence[Sequence[float]],
    clusters: Sequence[Hashable],
    strata: Sequence[Hashable] | None = None,
    pooled: tuple[float, float] | None = None,
    span: float | None = None,
) -> SeededMean:
    """Return the mean of the values of S trainings on the same n questions.

    Args:
        values: S lists of n values; of a comparison, the differences question by question of two systems trained with
            the same seed.
        clusters: the video, or the group, of each question.
        strata: the mean is the mean of the means of these.
        pooled: variance of one training's mean over seeds, and its degrees of freedom, where they are known better than
            from these trainings alone, e.g. from all rows of a study.
        span: of differences, the largest that is possible: where hardly any question shows a difference, their variance
            is at least that of `paired.variance_of_differences`.

    Each question's mean over seeds varies by what the questions are and by what the trainings made of them; the latter,
    the interaction I, is part of the variance between trainings already and is taken off:

        question_variance = clustered variance of the questions' means - I,
        I = sum over seeds of the clustered variance of each seed's deviations from them / (S (S-1)),
        seed_variance = variance of the S means / S

    Sources: Behrens (1929) and Fisher (1935) for two variances; Cornfield and Tukey, Annals of Mathematical Statistics
    27 (1956), for two crossed random factors.
    """
    import numpy as np

    x = np.asarray(values, dtype=float)
    if x.ndim != 2 or x.shape[1] != len(clusters) or not x.size:
        raise ValueError(f"expected S lists of {len(clusters)} values, found the shape {x.shape}")
    seeds, question_means = len(x), x.mean(0)
    mean = clustered_mean(question_means, clusters, strata)
    variance = mean.clustered
    if not math.isfinite(variance):
        return SeededMean(mean.value, math.inf, 0.0, 0.0, seeds)
    if span is not None:
        variance = variance_of_differences(question_means, clusters, mean, span)
    if seeds == 1:  # the interaction cannot be told from the questions: it counts twice where `pooled` is given
        return SeededMean(mean.value, variance, *(pooled or (0.0, 0.0)), 1, mean.degrees)
    means = [clustered_mean(row, clusters, strata).value for row in x]
    interaction = math.fsum(clustered_mean(row, clusters, strata).clustered for row in x - x.mean(0))
    left = max(0.0, variance - interaction / (seeds * (seeds - 1)))
    of_one, degrees = pooled or (float(np.var(means, ddof=1)), seeds - 1.0)
    return SeededMean(mean.value, left, of_one / seeds, degrees, seeds, mean.degrees)


@lru_cache(maxsize=1024)
def half_width(
    question_variance: float,
    seed_variance: float,
    degrees: float,
    level: float = 0.95,
    question_degrees: float = math.inf,
) -> float:
    """Return the h for which `t(question_degrees) sqrt(question_variance) + t(degrees) sqrt(seed_variance)` is within
    -h..h with probability `level`."""
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    spread = math.sqrt(question_variance + seed_variance)
    if spread == 0 or not math.isfinite(spread):
        return spread
    top = spread

    def missing(half: float) -> float:
        return _within(half, question_variance, seed_variance, degrees, question_degrees) - level

    while missing(top) < 0:
        top *= 2
    return float(brentq(missing, 0, top, xtol=1e-9 * spread))


def _within(
    half: float, question_variance: float, seed_variance: float, degrees: float, question_degrees: float
) -> float:
    """Return how likely `t(question_degrees) sqrt(question_variance) + t(degrees) sqrt(seed_variance)` is within
    -half..half."""
    import numpy as np
    from scipy.special import stdtr  # type: ignore[import-untyped]

    if question_variance + seed_variance == 0:
        return 1.0 if half > 0 else 0.0
    if not math.isfinite(question_variance):
        return 0.0
    if question_variance == 0:
        return float(2 * stdtr(degrees, half / math.sqrt(seed_variance)) - 1)
    if seed_variance == 0:
        return float(2 * stdtr(question_degrees, half / math.sqrt(question_variance)) - 1)
    ends = (-half - _quantiles(degrees) * math.sqrt(seed_variance)) / math.sqrt(question_variance)
    return float(1 - 2 * np.mean(_t_below(question_degrees, ends)))  # the sum is symmetric


def _t_below(degrees: float, values: np.ndarray) -> np.ndarray:
    """Return how likely Student's t is below each value; from 100 degrees on by Wallace's approximation, which is
    right to 1e-6 there and ten times as fast.

    Source: Wallace, Annals of Mathematical Statistics 30 (1959).
    """
    import numpy as np
    from scipy.special import ndtr, stdtr

    if math.isinf(degrees):
        below: np.ndarray = ndtr(values)
    elif degrees < _MANY:
        below = stdtr(degrees, values)
    else:
        size = (8 * degrees + 1) / (8 * degrees + 3) * np.sqrt(degrees * np.log1p(values * values / degrees))
        below = ndtr(np.copysign(size, values))
    return below


@lru_cache(maxsize=64)
def _quantiles(degrees: float) -> np.ndarray:
    import numpy as np
    from scipy.special import stdtrit

    quantiles: np.ndarray = stdtrit(degrees, (np.arange(_NODES) + 0.5) / _NODES)
    return quantiles


def holm(p: Sequence[float]) -> list[float]:
    """Return p values of several tests, corrected: those below 0.05 hold a false one in at most 5 of 100 studies.

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    order = sorted(range(len(p)), key=p.__getitem__)
    corrected, highest = [0.0] * len(p), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = highest
    return corrected
