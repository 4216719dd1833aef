"""The cells of a table: the score of each row over its seeds, with its paired difference to the base."""

from __future__ import annotations

from collections.abc import Mapping

from vlmkit.evaluation.records import Metric
from vlmkit.statistics.seeds import SeededMean
from vlmkit.study.paired_rows import corrected_p, differences_to_base, interval_of, mean_of_row, p_of, score_interval
from vlmkit.study.rows import Study
from vlmkit.study.run_values import MeasuredColumn
from vlmkit.study.table_records import Cell, Difference

__all__ = ["make_cells"]


def make_cells(study: Study, measured: MeasuredColumn, stopped: Mapping[str, SeededMean]) -> dict[str, Cell]:
    """Return the cells of a column, by row.

    Args:
        study: the study.
        measured: the column.
        stopped: differences of the rows that were given no more seeds, as they were when that was decided.
    """
    spec, (lowest, highest) = study.spec, measured.bounds
    pooled = measured.seed_variance() if spec.seed_variance == "pooled" else None
    means = {**differences_to_base(spec, measured), **stopped}
    p = {row: p_of(spec, mean) for row, mean in means.items()}
    corrected = corrected_p(spec, p)
    cells = {}
    for row in study.rows:
        leader = study.runs_of(row.name)[0].rows[0]
        if leader not in measured.rows:
            continue
        runs = measured.rows[leader]
        mean = mean_of_row(list(runs.values()), pooled)
        difference = None
        if leader in means:
            low, high = interval_of(spec, means[leader], lowest - highest, highest - lowest)[1:]
            difference = Difference(
                value=means[leader].value,
                ci95=(low, high),
                p=p[leader],
                p_corrected=corrected[leader],
                seeds=means[leader].seeds,
            )
        cells[row.name] = Cell(
            score=Metric(value=mean.value, ci95=score_interval(spec, mean, list(runs.values()), measured.bounds)),
            seeds={seed: values.score for seed, values in runs.items()},
            seed_deviation=mean.seed_deviation,
            difference=difference,
            published=row.said.published.get(measured.column.benchmark, {}).get(measured.column.metric),
        )
    return cells
