"""Sample size and power: how many questions and seeds find which difference.

All shares and differences are between 0 and 1. A difference d is found when its 95% interval leaves out 0:

    power = P(d / SE + N(0, 1) > z(0.975)),  SE^2 = design effect * v(d) / questions + 2 * seed deviation^2 / seeds

where v is the variance of one question's difference: p (1-p) + (p+d) (1-p-d) for two samples of questions, and
discordant - d^2 where both systems have the same questions, of which one system alone answers the share `discordant`.

Sources: Miller, arXiv:2411.00640, section 5; Connor, Biometrics 43 (1987), for paired answers; Kish, Survey Sampling
(1965), for the design effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

__all__ = ["Comparison"]

_NORMAL = NormalDist()
_Z = _NORMAL.inv_cdf(0.975)


@dataclass(frozen=True)
class Comparison:
    """A comparison to be made of two systems, of which the second is the better one."""

    accuracy: float = 0.5
    """Share of questions that the first system answers rightly."""
    discordant: float | None = None
    """Share of the questions that only one of the two answers rightly, whichever; None where each system has questions
    of its own, or only the two scores are known."""
    design_effect: float = 1.0
    """How many times more questions are needed because those of one video resemble each other
    (`clustering.standard_errors`); of the differences where both systems have the same questions, often near 1 then."""
    seed_deviation: float = 0.0
    """Standard deviation of the score over trainings with different seeds, known from earlier ones."""
    seeds: int = 1
    """Trainings of each system, whose scores are averaged; every training answers the same questions."""
    power: float = 0.8
    """How likely the difference is to be found."""

    def __post_init__(self) -> None:
        """Refuse what is no comparison."""
        for name, low, high in (("accuracy", 0, 1), ("discordant", 0, 1), ("power", 0.05, 1 - 1e-9)):
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}: expected a share between {low:g} and {high:g}, found {value}")
        for name, least in (("design_effect", 0), ("seed_deviation", 0), ("seeds", 1)):
            value = getattr(self, name)
            if not least <= value < math.inf:
                raise ValueError(f"{name}: expected a number of {least} or more, found {value}")

    def detectable(self, questions: int) -> float | None:
        """The least difference found with so many questions; None where the largest that is possible is not found."""
        k = self._errors
        c, seeds = k * k * self.design_effect / questions, k * k * self._seed_variance
        if self.discordant is not None:
            difference = math.sqrt((c * self.discordant + seeds) / (1 + c))
        else:  # d^2 = c (p q + (p+d) (q-d)) + seeds, solved for d
            p, q = self.accuracy, 1 - self.accuracy
            half = c * (q - p) / 2
            difference = (half + math.sqrt(half * half + (1 + c) * (2 * c * p * q + seeds))) / (1 + c)
        return difference if self._possible(difference) else None

    def questions(self, difference: float) -> int | None:
        """How many questions find the difference; None where no number does: it is impossible, or seeds hide it."""
        left = (difference / self._errors) ** 2 - self._seed_variance
        if not self._possible(difference) or left <= 0:
            return None
        return max(1, math.ceil(self.design_effect * self._variance(difference) / left))

    def seeds_needed(self, difference: float, questions: int) -> int | None:
        """How many trainings of each system find the difference; None where no number does with so many questions."""
        left = (difference / self._errors) ** 2 - self.design_effect * self._variance(difference) / questions
        if not self._possible(difference) or left <= 0:
            return None
        return max(1, math.ceil(2 * self.seed_deviation**2 / left))

    def power_of(self, difference: float, questions: int) -> float:
        """How likely a difference is found with so many questions and `seeds`; 0 where it is impossible."""
        if not self._possible(difference):
            return 0.0
        error = math.sqrt(self.design_effect * self._variance(difference) / questions + self._seed_variance)
        return _NORMAL.cdf(difference / error - _Z) if error else 1.0

    @property
    def _errors(self) -> float:
        """By how many standard errors a difference has to exceed 0 to be found so often."""
        return _Z + _NORMAL.inv_cdf(self.power)

    @property
    def _seed_variance(self) -> float:
        return 2 * self.seed_deviation**2 / self.seeds

    def _variance(self, difference: float) -> float:
        """v: of the difference that one question shows."""
        if self.discordant is not None:
            return self.discordant - difference**2
        better = self.accuracy + difference
        return self.accuracy * (1 - self.accuracy) + better * (1 - better)

    def _possible(self, difference: float) -> bool:
        most = 1 - self.accuracy if self.discordant is None else min(self.discordant, 1 - self.accuracy)
        return 0 < difference <= most + 1e-12
