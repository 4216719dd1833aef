"""The smallest difference between two rows that a study can find, before its trainings are paid for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vlmkit.statistics.seeds import half_width
from vlmkit.statistics.sequential import always_valid_half

__all__ = ["StudyPower"]

_NODES = 200


@dataclass(frozen=True)
class StudyPower:
    """A comparison of two rows over S seeds, tested as `seeds.SeededMean` does."""

    seeds: int
    """S, at least 2."""
    question_variance: float
    """Variance of the mean difference over the choice of questions, of infinitely many trainings."""
    seed_variance: float
    """Variance, over seeds, of one training's difference."""
    degrees: float
    """Degrees of freedom by which the seeds' variance will be known: S - 1, or more where rows are pooled."""
    comparisons: int = 1
    """How many rows are compared with the base: a single true difference must pass Holm's first step."""

    always_valid: bool = False
    """True where the test holds after every seed at once, as `sequential.always_valid` does."""

    def power(self, difference: float) -> float:
        """How likely a difference is found: its corrected p is below 0.05."""
        import numpy as np
        from scipy.special import chdtri, ndtr  # type: ignore[import-untyped]

        level = 1 - 0.05 / self.comparisons
        of_mean = self.seed_variance / self.seeds
        error = math.sqrt(self.question_variance + of_mean)
        if error == 0:
            return 1.0 if difference else 0.0
        shares = (np.arange(_NODES) + 0.5) / _NODES
        seen = chdtri(self.degrees, 1 - shares) / self.degrees * of_mean  # the variance that the study will see
        halves = np.array([self._half_width(float(variance), level) for variance in seen])
        return float(np.mean(ndtr((difference - halves) / error) + ndtr((-difference - halves) / error)))

    def _half_width(self, seed_variance: float, level: float) -> float:
        if self.always_valid:
            return always_valid_half(self.question_variance, seed_variance, self.degrees, self.seeds, level)
        return half_width(self.question_variance, seed_variance, self.degrees, level)

    def detectable(self, power: float = 0.8) -> float:
        """Return the difference that is found with this probability; infinite where so few seeds find nothing."""
        from scipy.optimize import brentq  # type: ignore[import-untyped]

        top = math.sqrt(self.question_variance + self.seed_variance / self.seeds)
        if top == 0:
            return 0.0
        if self.always_valid and math.isinf(self._half_width(1.0, 1 - 0.05 / self.comparisons)):
            return math.inf
        while self.power(top) < power:
            top *= 2
        return float(brentq(lambda difference: self.power(difference) - power, 0, top, xtol=1e-4 * top))
