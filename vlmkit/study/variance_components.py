"""The variance components of a difference between two rows: as assumed, or as runs of the study have shown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from vlmkit.study.paired_rows import differences_to_base
from vlmkit.study.rows import Study
from vlmkit.study.run_values import measured_columns
from vlmkit.study.study_folder import StudyFolder

__all__ = ["PowerAssumptions", "VarianceComponents", "measured_components"]


@dataclass(frozen=True)
class PowerAssumptions:
    """Assumptions that the power of a study depends on, as long as nothing was measured."""

    seed_deviation: float = 0.01
    """Standard deviation of the score of one training, over seeds."""
    discordant: float = 0.1
    """Share of the questions that only one of two rows answers rightly."""
    design_effect: float = 1.0
    """Of the differences, where several questions are about one video."""

    def components(self, questions: int) -> VarianceComponents:
        """Return what is expected of so many questions."""
        return VarianceComponents(self.design_effect * self.discordant / questions, 2 * self.seed_deviation**2)


@dataclass(frozen=True)
class VarianceComponents:
    """The variances of a difference between a row and the base."""

    question_variance: float
    """Of the mean over all questions, by their choice."""
    seed_variance: float
    """Of the mean of one training, by its seed."""
    runs: int = 0
    """How many runs have shown them; 0: they are assumed."""


def measured_components(study: Study, folder: StudyFolder) -> dict[str, VarianceComponents]:
    """Return, by benchmark, the components in what was measured so far: means over the rows of its first column.

    A benchmark of which no row has two seeds in common with the base is left out.
    """
    found: dict[str, VarianceComponents] = {}
    for column in measured_columns(study, folder):
        means = [mean for mean in differences_to_base(study.spec, column).values() if mean.seeds > 1]
        if means and column.column.benchmark not in found:
            found[column.column.benchmark] = VarianceComponents(
                question_variance=statistics.fmean(mean.question_variance for mean in means),
                seed_variance=statistics.fmean(mean.seed_variance * mean.seeds for mean in means),
                runs=sum(map(len, column.rows.values())),
            )
    return found
