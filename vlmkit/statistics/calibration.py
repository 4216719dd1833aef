"""A judge against a few human labels: sensitivity, specificity, the corrected accuracy."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmkit.statistics.clustering import checked, clustered_mean, codes, student_t
from vlmkit.statistics.intervals import Estimate, estimate, wilson

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Calibration", "calibrate"]


@dataclass(frozen=True)
class Calibration:
    """A judge measured by human labels of some answers, and the accuracy that it found, corrected."""

    labels: int
    """Answers with a human label."""
    agreement: Estimate
    """Share of the labeled answers on which judge and human say the same."""
    sensitivity: Estimate | None
    """Share of the answers right to the human that are right to the judge; None without such answers."""
    specificity: Estimate | None
    """Share of the answers wrong to the human that are wrong to the judge; None without such answers."""
    judged: Estimate
    """Accuracy over all answers as the judge has it."""
    labeled: Estimate
    """Accuracy over the labeled answers as the human has it: what the labels alone tell."""
    corrected: Estimate
    """Accuracy over all answers, corrected by the labels."""
    weight: float
    """How much the judge counts in `corrected`: 0 not at all, 1 fully."""


def calibrate(judge: Sequence[bool], human: Sequence[bool | None], clusters: Sequence[Hashable]) -> Calibration:
    """Compare a judge with a human on some answers and correct the accuracy that it found on all of them.

    `judge[i]` says that answer i is right, `human[i]` is the label of the same answer or None, `clusters[i]` its video
    or group. The labeled answers have to be a random sample of all (of questions or of videos); then `corrected` is
    free of the judge's bias, whatever that is:

        corrected = mean(human) + w * (mean(judge on the others) - mean(judge on the labeled))

    with w = cov(human, judge) / var(judge) * N / (n + N), between 0 and 1, which makes the variance least, for n
    labeled answers and N others. With w = 0 it is what the labels alone tell. Else its interval is Wilson's with

        n* = max(p (1-p) / v * (z / t)^2, Kish's number of the labeled answers)

    where v is the variance over clusters of this sum of two means and t the quantile at its degrees of freedom (both as
    of a macro of two strata, `clustering.clustered_mean`). Where the labels show less than two errors of the judge, v
    has 2 w^2 / n^2 added, the variance of one error in each direction.

    A ValueError where lengths differ or fewer than two clusters have labels.

    Source: Angelopoulos, Duchi and Zrnic, PPI++, arXiv:2311.01453, after Angelopoulos et al., Prediction-powered
    inference, Science 382 (2023).
    """
    import numpy as np

    if len(judge) != len(human):
        raise ValueError(f"expected a human label or None for each of {len(judge)} answers, found {len(human)}")
    says = checked(judge, clusters)
    known = np.array([label is not None for label in human])
    labels = np.array([bool(label) for label in human], dtype=float)
    names, _ = codes(clusters)
    if (found := len(set(names[known]))) < 2:
        raise ValueError(f"expected human labels in at least two clusters, found {found}")

    def share(values: np.ndarray, where: np.ndarray) -> Estimate | None:
        return estimate(values[where].tolist(), names[where].tolist()) if where.any() else None

    same = (labels == says).astype(float)
    weight = _weight(labels[known], says[known], len(says))
    return Calibration(
        int(known.sum()),
        estimate(same[known].tolist(), names[known].tolist()),
        share(same, known & (labels == 1)),
        share(same, known & (labels == 0)),
        estimate(says.tolist(), clusters),
        estimate(labels[known].tolist(), names[known].tolist()),
        _corrected(labels, says, known, names, weight),
        weight,
    )


def _weight(labels: np.ndarray, says: np.ndarray, answers: int) -> float:
    """w: how much the judge counts, from the labeled answers, of all `answers`."""
    import numpy as np

    spread = says.var()
    if spread == 0:
        return 0.0
    slope = np.mean((labels - labels.mean()) * (says - says.mean())) / spread
    return float(np.clip(slope * (answers - len(says)) / answers, 0.0, 1.0))


def _corrected(labels: np.ndarray, says: np.ndarray, known: np.ndarray, names: np.ndarray, weight: float) -> Estimate:
    import numpy as np

    n = int(known.sum())
    if weight == 0:
        return estimate(labels[known].tolist(), names[known].tolist())
    parts = np.where(known, labels - weight * says, weight * says)
    mean = clustered_mean(parts.tolist(), names.tolist(), known.tolist())
    value, variance = 2 * mean.value, 4 * mean.clustered
    if np.sum(labels[known] != says[known]) < 2:
        variance += 2 * (weight / n) ** 2
    share = min(1.0, max(0.0, value))
    ratio = student_t(math.inf) / student_t(mean.degrees)
    floor = clustered_mean(labels[known].tolist(), names[known].tolist()).kish
    return Estimate(share, *wilson(share, max(floor, share * (1 - share) / variance * ratio**2)))
