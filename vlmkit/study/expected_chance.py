"""How much chance a difference between two rows is expected to have: as assumed, or as runs of the study have shown."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from vlmkit.study.paired_rows import differences_to_base
from vlmkit.study.rows import Study
from vlmkit.study.run_values import measured_columns
from vlmkit.study.study_folder import StudyFolder

__all__ = ["Assumed", "Chance", "measured_chance"]


@dataclass(frozen=True)
class Assumed:
    """Assumptions that the power of a study depends on, as long as nothing was measured."""

    seed_deviation: float = 0.01
    """Standard deviation of the score of one training, over seeds."""
    discordant: float = 0.1
    """Share of the questions that only one of two rows answers rightly."""
    design_effect: float = 1.0
    """Of the differences, where several questions are about one video."""

    def chance(self, questions: int) -> Chance:
        """Return the chance that is expected of so many questions."""
        return Chance(self.design_effect * self.discordant / questions, 2 * self.seed_deviation**2)


@dataclass(frozen=True)
class Chance:
    """The variances of a difference between a row and the base."""

    of_questions: float
    """Of the mean over all questions, by their choice."""
    of_seeds: float
    """Of the mean of one training, by its seed."""
    runs: int = 0
    """How many runs have shown it; 0: it is assumed."""


def measured_chance(study: Study, folder: StudyFolder) -> dict[str, Chance]:
    """Return, by benchmark, the chance in what was measured so far: means over the rows of its first column.

    A benchmark of which no row has two seeds in common with the base is left out.
    """
    found: dict[str, Chance] = {}
    for column in measured_columns(study, folder):
        means = [mean for mean in differences_to_base(study.spec, column).values() if mean.seeds > 1]
        if means and column.column.benchmark not in found:
            found[column.column.benchmark] = Chance(
                of_questions=statistics.fmean(mean.of_questions for mean in means),
                of_seeds=statistics.fmean(mean.of_seeds * mean.seeds for mean in means),
                runs=sum(map(len, column.rows.values())),
            )
    return found
