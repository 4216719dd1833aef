"""The comparison page of several runs or of a study: one HTML file, rendered from `templates/comparison.html`."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment

from vlmkit._version import __version__
from vlmkit.errors import RunError, UserError
from vlmkit.files import expand_path, write_atomic
from vlmkit.report.compared_figures import LossLine, SizePoint, overlaid_curves, size_figure
from vlmkit.report.compared_scores import (
    Axis,
    BenchmarkAnswers,
    Mark,
    TypeRow,
    benchmark_answers,
    difference_axis,
    score_axis,
    type_rows,
)
from vlmkit.report.compared_systems import SystemComparison, compare_runs, compare_study
from vlmkit.report.loss_curves import LOSSES, loss_points
from vlmkit.report.page import page_templates
from vlmkit.report.results import BenchmarkSection, benchmark_section
from vlmkit.report.sample_browser import SAMPLES, sample_browser
from vlmkit.study.rows import Study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table_records import Cell, Column
from vlmkit.svg import SYSTEMS

__all__ = ["render_comparison", "write_comparison", "write_study_page"]


class ScoreRow(NamedTuple):
    """One system in a column of scores."""

    system: int
    label: str
    cell: Cell | None
    """None where it has no score."""
    mark: Mark | None
    difference: Mark | None


class ScoreSection(NamedTuple):
    """One column of the table, arranged for the page."""

    key: str
    column: Column
    axis: Axis
    differences: Axis | None
    rows: Sequence[ScoreRow]
    size: tuple[str, str] | None
    """Scores against the size of the visual part, wide and narrow; None where no size is known."""
    types: Sequence[TypeRow]
    published: BenchmarkSection | None
    """A result of the benchmark, whose entry has published results; None where there are none, or told already."""


class LossPanel(NamedTuple):
    """One loss in one stage."""

    stage: str
    loss: str
    svg: str


def write_comparison(folders: Sequence[Path], file: Path, samples: int = SAMPLES) -> Path:
    """Write the page of several runs, the others compared with the first, and return its path.

    Args:
        folders: run folders, at least two.
        file: where the page goes.
        samples: the most questions in its browser for samples.

    Raises:
        UserError: a folder is no run or holds a malformed file, none of them holds a score, or the page cannot be
            written.
    """
    if len(folders) < 2:
        raise RunError(f"expected at least two runs to compare, found {len(folders)}")
    return _write(file, render_comparison(compare_runs(folders), samples))


def write_study_page(study: Study, folder: StudyFolder, file: Path | None = None, samples: int = SAMPLES) -> Path:
    """Write the page of a study, `study.html` in its folder unless another file is named, and return its path.

    A UserError where nothing was measured yet, or a file of a run is malformed.
    """
    page = render_comparison(compare_study(study, folder), samples)
    return _write(file or folder.path / "study.html", page)


def _write(file: Path, page: str) -> Path:
    file = expand_path(file)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, page)
    except OSError as error:
        raise UserError(f"{file}: the page cannot be written: {error.strerror or error}; name another file") from None
    return file


def render_comparison(comparison: SystemComparison, samples: int = SAMPLES) -> str:
    """The whole document."""
    answers, untold = benchmark_answers(comparison)
    by_name = {one.name: one for one in answers}
    templates = page_templates()
    script = _source(templates, "samples.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return templates.get_template("comparison.html").render(
        comparison=comparison,
        colors=[_color(number) for number in range(len(comparison.systems))],
        sections=list(_sections(comparison, by_name)),
        panels=list(_curves(comparison)),
        browser=sample_browser(comparison, answers, samples) if answers else None,
        untold=untold,
        version=__version__,
        script=script,
        digest=digest,
    )


def _source(templates: Environment, name: str) -> str:
    assert templates.loader is not None
    return templates.loader.get_source(templates, name)[0].strip()


def _color(system: int) -> int:
    """Return the number of a system's color: they come again where there are more systems than colors."""
    return system % len(SYSTEMS)


def _sections(comparison: SystemComparison, answers: dict[str, BenchmarkAnswers]) -> Iterator[ScoreSection]:
    told: set[str] = set()
    for key, column in comparison.table.columns.items():
        axis, differences = score_axis(comparison, key), difference_axis(comparison, key)
        rows = [_row(comparison, number, key, axis, differences) for number in range(len(comparison.systems))]
        first = column.benchmark not in told
        told.add(column.benchmark)
        known = answers.get(column.benchmark)
        section = _result(comparison, column)
        yield ScoreSection(
            key=key,
            column=column,
            axis=axis,
            differences=differences,
            rows=rows,
            size=_size(comparison, key, section) if first else None,
            types=type_rows(comparison, known, axis) if first and known else [],
            published=section if first and section.benchmark and section.benchmark.published else None,
        )


def _row(comparison: SystemComparison, number: int, key: str, axis: Axis, differences: Axis | None) -> ScoreRow:
    system = comparison.systems[number]
    cell = system.row.cells.get(key)
    if cell is None:
        return ScoreRow(number, system.label, None, None, None)
    mark = axis.mark(number, cell.score.value, cell.score.ci95, list(cell.seeds.values()), cell.published)
    found = cell.difference
    apart = differences.mark(number, found.value, found.ci95) if differences and found else None
    return ScoreRow(number, system.label, cell, mark, apart)


def _result(comparison: SystemComparison, column: Column) -> BenchmarkSection:
    """Return the first result of a benchmark, with its entry."""
    run = next(run for system in comparison.systems for run in system.runs if column.benchmark in run.results)
    evaluation = run.experiment.evaluation if run.experiment else None
    more = evaluation.benchmarks_path if evaluation else []
    return benchmark_section(column.benchmark, run.results[column.benchmark], more)


def _size(comparison: SystemComparison, key: str, section: BenchmarkSection) -> tuple[str, str] | None:
    """Draw scores against the size of the visual part; None where there are no two sizes."""
    metric = comparison.table.columns[key].metric
    points = [
        SizePoint(system.label, system.row.parameters, cell.score.value, cell.score.ci95, number)
        for number, system in enumerate(comparison.systems)
        if system.row.parameters and (cell := system.row.cells.get(key))
    ]
    if not points:
        return None
    points += _published_points(section, metric)
    if len({point.parameters for point in points}) < 2:
        return None
    wide, narrow = (size_figure(points, metric, f"size-{key}-{narrow}", narrow) for narrow in (False, True))
    return wide, narrow


def _published_points(section: BenchmarkSection, metric: str) -> Iterator[SizePoint]:
    """Yield the published scores of models whose size is known."""
    theirs = section.benchmark.published if section.benchmark else None
    for model in theirs.results if theirs else ():
        if theirs and model.vision_parameters_m and metric in model.metrics:
            yield SizePoint(theirs.label(model), 1e6 * model.vision_parameters_m, model.metrics[metric], None, None)


def _curves(comparison: SystemComparison) -> Iterator[LossPanel]:
    """Yield the losses of each stage that any run has logged, by name of the stage."""
    names: dict[str, Any] = dict.fromkeys(
        name for system in comparison.systems for run in system.runs for name, lines in run.logs.items() if lines
    )
    for name in names:
        logs = [
            LossLine(number, run.logs[name])
            for number, system in enumerate(comparison.systems)
            for run in system.runs
            if run.logs.get(name)
        ]
        for loss, title in LOSSES.items():
            if any(loss_points(log.lines, loss) for log in logs):
                yield LossPanel(name, title, overlaid_curves(logs, loss, f"{name}-{loss}"))
