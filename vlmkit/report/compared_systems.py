"""The systems of a comparison, with their table: several runs, or the rows of a study with the runs of all seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_high
from typing import Literal

from vlmkit.errors import RunError, UserError
from vlmkit.evaluation.comparing import compare
from vlmkit.evaluation.finished import find_finished
from vlmkit.evaluation.records import BenchmarkResult
from vlmkit.evaluation.scores import primary_metric
from vlmkit.report.run_files import RunFiles, read_run
from vlmkit.run_folder import RunFolder
from vlmkit.statistics.seeds import holm
from vlmkit.study.rows import BASE, Study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table import build_table
from vlmkit.study.table_formats import captions, ended_early
from vlmkit.study.table_records import Cell, Column, Difference, StudyTable, TableRow

__all__ = ["ComparedSystem", "SystemComparison", "compare_runs", "compare_study"]


@dataclass(frozen=True)
class ComparedSystem:
    """One row of the comparison."""

    row: TableRow
    """Its scores, differences and costs."""
    runs: tuple[RunFiles, ...]
    """By seed; empty where none was measured."""
    about: str
    """What stands beside its name: which runs it has, and which not."""

    @property
    def label(self) -> str:
        """How it is called."""
        return self.row.label

    @property
    def seconds_per_step(self) -> float | None:
        """The mean over the steps of all stages and runs, of which each stage's median stands for all in it."""
        paces = [pair for run in self.runs for pair in _paces(run)]
        steps = sum(steps for steps, _ in paces)
        return sum(steps * pace for steps, pace in paces) / steps if steps else None

    @property
    def training_seconds(self) -> float | None:
        """Of one run: for each stage its steps times the median time of one, the mean over runs."""
        totals = [sum(steps * pace for steps, pace in _paces(run)) for run in self.runs if any(_paces(run))]
        return sum(totals) / len(totals) if totals else None

    @property
    def evaluation_seconds(self) -> float | None:
        """Of one run: all benchmarks, the mean over runs."""
        totals = [sum(result.seconds for result in run.results.values()) for run in self.runs]
        return sum(totals) / len(totals) if totals else None


def _paces(run: RunFiles) -> Iterator[tuple[int, float]]:
    """Yield steps and median time per step of each stage that has logged them."""
    for lines in run.logs.values():
        times = [line.seconds_per_step for line in lines if line.seconds_per_step is not None]
        if times:
            yield lines[-1].step, median_high(times)


@dataclass(frozen=True)
class SystemComparison:
    """All that a comparison page is made of."""

    title: str
    kind: Literal["runs", "study"]
    table: StudyTable
    systems: Sequence[ComparedSystem]
    """In the order of the table's rows, the base first."""
    notes: Sequence[str]
    """What a reader has to know to read the scores, one sentence or two each."""


def compare_study(study: Study, folder: StudyFolder) -> SystemComparison:
    """Compare the rows of a study. A RunError where nothing was measured yet."""
    table = build_table(study, folder)
    systems = []
    for row in table.rows:
        runs = [folder.run_folder(run).path for run in study.runs_of(row.name)]
        measured = tuple(read_run(run) for run in runs if any(run.glob("eval/*/result.json")))
        failed = [run.seed for run in study.runs_of(row.name) if folder.state(run) == "failed"]
        systems.append(ComparedSystem(row, measured, _about_row(study, table, row, measured, failed)))
    return SystemComparison(table.title or table.study, "study", table, systems, captions(table, costs=False))


def _about_row(
    study: Study, table: StudyTable, row: TableRow, measured: Sequence[RunFiles], failed: Sequence[int]
) -> str:
    said = []
    first = study.runs_of(row.name)[0].rows[0]
    if first != row.name:
        said.append(f"the runs of {next(one.label for one in study.rows if one.name == first)}")
    if measured:
        said.append(_seeds([run.spec.seed for run in measured]))
    if failed:
        said.append(f"failed: {_seeds(failed)}")
    if missing := [seed for seed in row.missing if seed not in failed]:
        said.append(f"without a result: {_seeds(missing)}")
    if row.stopped:
        said.append(f"ended early, {ended_early(table, row)}")
    return "; ".join(said)


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def compare_runs(folders: Sequence[Path]) -> SystemComparison:
    """Compare runs, the others with the first. A RunError where one is none, or none holds a result."""
    runs = [read_run(folder) for folder in folders]
    labels = _labels(runs)
    names = [BASE, *(f"run-{number}" for number in range(2, len(runs) + 1))]
    cells: list[dict[str, Cell]] = [{} for _ in runs]
    columns: dict[str, Column] = {}
    notes = []
    for benchmark in dict.fromkeys(name for run in runs for name in run.results):
        results = {place: run.results[benchmark] for place, run in enumerate(runs) if benchmark in run.results}
        metric = primary_metric(next(iter(results.values())).metrics)
        scored = {place: result for place, result in results.items() if metric in result.metrics}
        if metric is None or not scored:
            continue
        key = f"{benchmark}/{metric}"
        columns[key] = _column(benchmark, metric, next(iter(scored.values())))
        differences, refused = _differences(runs, scored, benchmark, metric)
        notes += [f"{labels[place]}, {benchmark}: no difference is given. {why}" for place, why in refused.items()]
        for place, result in scored.items():
            score = result.metrics[metric]
            cells[place][key] = Cell(
                score=score,
                seeds={runs[place].spec.seed: score.value},
                seed_deviation=0.0,
                difference=differences.get(place),
            )
    if not columns:
        raise RunError(f"{', '.join(map(str, folders))}: none of these runs holds a score; `vlmkit eval RUN` makes one")
    rows = [_table_row(name, label, own, run) for name, label, own, run in zip(names, labels, cells, runs, strict=True)]
    table = StudyTable(study="", title="", columns=columns, rows=rows, correction="holm", seed_variance="own")
    systems = []
    for row, run in zip(rows, runs, strict=True):
        name = run.folder.resolve().name
        systems.append(ComparedSystem(row, (run,), "" if name == row.label else name))
    title = " and ".join(labels) if len(labels) < 3 else f"{labels[0]} and {len(labels) - 1} other runs"
    return SystemComparison(title, "runs", table, systems, [*captions(table), *notes])


def _labels(runs: Sequence[RunFiles]) -> list[str]:
    """Return the names of the runs; where two are called alike, that of the folder, or the whole path."""
    for names in ([run.spec.name for run in runs], [run.folder.resolve().name for run in runs]):
        if max(Counter(names).values()) == 1:
            return names
    return [f"{run.spec.name} ({number})" for number, run in enumerate(runs, 1)]


def _column(benchmark: str, metric: str, result: BenchmarkResult) -> Column:
    judge = str(result.judge or (result.harness.version if result.harness else "none"))
    return Column(
        benchmark=benchmark,
        metric=metric,
        protocol=result.protocol or "of its own",
        judge=judge,
        split=result.split,
        questions=result.n,
    )


def _differences(
    runs: Sequence[RunFiles], results: Mapping[int, BenchmarkResult], benchmark: str, metric: str
) -> tuple[dict[int, Difference], dict[int, str]]:
    """Return the differences to the first run, by place, and the reasons why there is none."""
    found, refused = {}, {}
    for place in results:
        if place == 0 or 0 not in results:
            continue
        try:
            own, base = (find_finished(RunFolder(runs[n].folder).evaluation(benchmark)) for n in (place, 0))
            found[place] = compare(own, base, metric).whole.paired
        except UserError as error:
            refused[place] = " ".join(str(error).partition("\n--across")[0].split())
    corrected = holm([one.p_clustered for one in found.values()])
    differences = {
        place: Difference(
            value=one.difference.value,
            ci95=(one.difference.low, one.difference.high),
            p=one.p_clustered,
            p_corrected=p,
            seeds=1,
        )
        for (place, one), p in zip(found.items(), corrected, strict=True)
    }
    return differences, refused


def _table_row(name: str, label: str, cells: dict[str, Cell], run: RunFiles) -> TableRow:
    summary = run.summary
    return TableRow(
        name=name,
        label=label,
        cells=cells,
        parameters=summary.visual_parameters if summary else None,
        tokens=next(iter(summary.tokens.values()), None) if summary else None,
        macs=summary.macs if summary else None,
    )
