"""The table of a study: scores and paired differences with intervals over questions and seeds, published scores beside.

Letters: R rows with the base, S seeds.
"""

from __future__ import annotations

from collections.abc import Mapping

from vlmkit.errors import RunError
from vlmkit.study.cells import make_cells
from vlmkit.study.row_timings import RowTimings, read_timings
from vlmkit.study.rows import Study, StudyRow
from vlmkit.study.run_values import measured_columns
from vlmkit.study.stopping import StoppedRow, deciding_column, is_needed, stopped_rows
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table_records import Cell, StudyTable, TableRow

__all__ = ["build_table"]


def build_table(study: Study, folder: StudyFolder) -> StudyTable:
    """Return the table of what has been measured so far.

    Raises:
        RunError: nothing was measured yet, or rows were measured in different ways.
        DataError: the registry has another version of a protocol than the results.
    """
    columns = list(measured_columns(study, folder))
    if not columns:
        raise RunError(f"{folder.path}: nothing has been measured yet; `vlmkit ablate {study.file}` runs the study")
    stopped = stopped_rows(study, folder, columns)
    deciding = deciding_column(study, columns)
    frozen = {row: one.difference for row, one in stopped.items()}
    cells = {one.name: make_cells(study, one, frozen if one is deciding else {}) for one in columns}
    timings = read_timings(folder)
    return StudyTable(
        study=study.spec.study,
        title=study.spec.title,
        columns={one.name: one.column for one in columns},
        rows=[_table_row(study, folder, row, cells, stopped, timings) for row in study.rows],
        correction=study.spec.correction,
        seed_variance=study.spec.seed_variance,
        stop_when=study.spec.stop_when.difference if study.spec.stop_when else None,
        decided_by=deciding.name if deciding else "",
        source=study.spec.published.source if study.spec.published else "",
        timed_on=timings.device if timings else "",
    )


def _table_row(
    study: Study,
    folder: StudyFolder,
    row: StudyRow,
    cells: Mapping[str, Mapping[str, Cell]],
    stopped: Mapping[str, StoppedRow],
    timings: RowTimings | None,
) -> TableRow:
    runs = study.runs_of(row.name)
    missing = [run.seed for run in runs if folder.state(run) != "done" and is_needed(study, run, stopped)]
    summary = folder.composition(runs)
    return TableRow(
        name=row.name,
        label=row.label,
        cells={name: by_row[row.name] for name, by_row in cells.items() if row.name in by_row},
        missing=missing,
        stopped=stopped[runs[0].rows[0]].why if runs[0].rows[0] in stopped else None,
        parameters=summary.visual_parameters if summary else None,
        tokens=next(iter(summary.tokens.values()), None) if summary else None,
        macs=summary.macs if summary else None,
        milliseconds=timings.of(row.experiment) if timings else None,
    )
