"""Intervals and tests that hold after every seed at once: a study may be ended when its answer is clear.

Letters: S seeds so far.
"""

from __future__ import annotations

import math

from vlmkit.statistics.clustering import student_t
from vlmkit.statistics.intervals import Estimate
from vlmkit.statistics.seeds import SeededMean

__all__ = ["always_valid", "always_valid_half", "always_valid_p"]

_PHI = 0.25
"""Precision of the mixture: differences are expected to be about `1 / sqrt(_PHI)` = 2 times as large as the chance of
one training. Intervals hold whatever it is; it says for how many seeds they are shortest."""


def always_valid(mean: SeededMean, lowest: float = -math.inf, highest: float = math.inf) -> Estimate:
    """Return the mean with an interval that holds the truth after every number of seeds at once, in 95 of 100 studies.

    The error is allotted in equal parts to the two sources of chance:

        half = t(0.9875) sqrt(question_variance) + sqrt(d u seed_variance),  u = (A - 1) / (1 - r A),
        A = (0.025^2 r)^(-1 / (d + 1)),  r = phi / (phi + S)

    with d the degrees of freedom of `seed_variance`. The questions are drawn once: theirs is an ordinary interval of
    Student's t. Seeds come one after the other: theirs is the confidence sequence of the t test, the values that a
    mixture of likelihood ratios (differences of N(0, variance / phi) against one value, invariant to location and
    scale) does not refute at any time, by Ville's inequality. It is infinite after few seeds: of one row alone before
    the fourth.

    Sources: Wang and Ramdas, arXiv:2310.03722, theorem on the scale invariant t-test martingale, for one row; Lindon,
    Ham, Tingley and Bojinov, arXiv:2210.08589, for linear models, of which rows with one variance are one.
    """
    half = _half(mean)
    return Estimate(mean.value, max(lowest, mean.value - half), min(highest, mean.value + half))


def _half(mean: SeededMean, level: float = 0.95) -> float:
    return always_valid_half(
        mean.question_variance,
        mean.seed_variance,
        mean.degrees,
        mean.seeds,
        level,
        question_degrees=mean.question_degrees,
    )


def always_valid_half(
    question_variance: float,
    seed_variance: float,
    degrees: float,
    seeds: int,
    level: float = 0.95,
    question_degrees: float = math.inf,
) -> float:
    """Return the half width of `always_valid`, from the fields of a `SeededMean`."""
    if not degrees:  # the chance of a training is not known
        return math.inf
    error = (1 - level) / 2
    questions = student_t(question_degrees, 1 - error / 2) * math.sqrt(question_variance)
    if seed_variance == 0:
        return questions
    ratio = _PHI / (_PHI + seeds)
    bound = math.exp(-math.log(error * error * ratio) / (degrees + 1))
    if ratio * bound >= 1:
        return math.inf
    return questions + math.sqrt(degrees * (bound - 1) / (1 - ratio * bound) * seed_variance)


def always_valid_p(mean: SeededMean) -> float:
    """Return the least error at which the interval of `always_valid` leaves 0 out; 1 where none does.

    Where there is no difference it is below 0.05, after any of the seeds, in at most 5 of 100 studies.
    """
    from scipy.optimize import brentq  # type: ignore[import-untyped]

    def left(error: float) -> float:
        return min(_half(mean, 1 - error), 1e300) - abs(mean.value)

    least, most = 1e-12, 1 - 1e-9
    if left(most) > 0 or mean.value == 0:
        return 1.0
    if left(least) < 0:
        return least
    return float(brentq(left, least, most, xtol=1e-9))
