"""Rows of a study that need no more seeds: their difference to the base is found, or it is too small to matter.

The rows are looked at after each seed, from the second on. What is decided then stands, so that a study decides the
same however often it was interrupted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vlmkit.formatting import is_accuracy
from vlmkit.statistics.seeds import SeededMean
from vlmkit.study.paired_rows import corrected_p, differences_to_base, interval_of, p_of
from vlmkit.study.rows import BASE, Study, StudyRun
from vlmkit.study.run_values import MeasuredColumn
from vlmkit.study.study_folder import StudyFolder

__all__ = ["StoppedRow", "deciding_column", "is_needed", "stopped_rows"]


@dataclass(frozen=True)
class StoppedRow:
    """A row that is given no more seeds."""

    after: int
    """Number of the study's seeds after which that was decided."""
    why: Literal["found", "small"]
    """Its difference is significant, after the correction; or the interval lies within the one that matters."""
    difference: SeededMean
    """As it was then."""


def stopped_rows(study: Study, folder: StudyFolder, columns: Sequence[MeasuredColumn]) -> dict[str, StoppedRow]:
    """Return the rows that need no more seeds, from what was measured: none where the study does not stop early.

    Of rows that are the same experiment the first one is named.
    """
    spec, column = study.spec, deciding_column(study, columns)
    if column is None:
        return {}
    stopped: dict[str, StoppedRow] = {}
    for count in range(2, len(spec.seeds) + 1):
        if not _is_complete(study, folder, column, count, stopped):
            break
        means = differences_to_base(spec, column.first(spec.seeds[:count]))
        means |= {row: one.difference for row, one in stopped.items()}
        corrected = corrected_p(spec, {row: p_of(spec, mean) for row, mean in means.items()})
        for row, mean in means.items():
            if row not in stopped and (why := _reason(study, column, mean, corrected[row])):
                stopped[row] = StoppedRow(count, why, mean)
    return stopped


def deciding_column(study: Study, columns: Sequence[MeasuredColumn]) -> MeasuredColumn | None:
    """Return the column that tells when a row is stopped; None where it was not measured yet, or none is stopped."""
    if study.spec.stop_when is None:
        return None
    wanted = study.spec.stop_when.benchmark
    return next((one for one in columns if wanted in (None, one.column.benchmark)), None)


def is_needed(study: Study, run: StudyRun, stopped: Mapping[str, StoppedRow]) -> bool:
    """Return whether a run is to be made: those of the base are as long as any other row's are."""
    rows = {one.rows[0] for one in study.distinct} - {BASE} if run.rows[0] == BASE else {run.rows[0]}
    number = study.spec.seeds.index(run.seed)
    return any(row not in stopped or number < stopped[row].after for row in rows)


def _is_complete(
    study: Study, folder: StudyFolder, column: MeasuredColumn, count: int, stopped: Mapping[str, StoppedRow]
) -> bool:
    """Return whether every row that has begun and is not stopped has come to an end with this seed."""
    runs = [run for run in study.runs if run.seed == study.spec.seeds[count - 1] and run.rows[0] in column.rows]
    return all(folder.state(run) in ("done", "failed") for run in runs if run.rows[0] not in stopped)


def _reason(
    study: Study, column: MeasuredColumn, mean: SeededMean, corrected: float
) -> Literal["found", "small"] | None:
    assert study.spec.stop_when is not None
    matters = study.spec.stop_when.difference / (100 if is_accuracy(column.column.metric) else 1)
    if corrected < 0.05:
        return "found"
    span = column.bounds[1] - column.bounds[0]
    _, low, high = interval_of(study.spec, mean, -span, span)
    return "small" if -matters < low and high < matters else None
