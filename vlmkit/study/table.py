"""The table of a study: scores and paired differences with intervals over questions and seeds, published scores beside.

Letters: R rows with the base, S seeds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import Field

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.errors import DataError, RunError
from vlmkit.evaluation.records import Metric, read_result
from vlmkit.evaluation.rescoring import read_scored, rules_of
from vlmkit.evaluation.scores import metric_values, primary_metric
from vlmkit.json_files import Record, read_record
from vlmkit.run_folder import RunFolder
from vlmkit.statistics.intervals import estimate, macro
from vlmkit.statistics.seeds import SeededMean, holm, seeded_mean
from vlmkit.study.rows import BASE, Study, StudyRow
from vlmkit.study.study_folder import StudyFolder
from vlmkit.summary import Summary

__all__ = ["Cell", "Column", "Difference", "Line", "StudyTable", "build_table"]


class Column(Record):
    """The benchmark and metric of one column of scores, measured alike in all rows."""

    benchmark: str
    """Name of the result."""
    metric: str
    protocol: str
    judge: str
    split: str
    questions: int


class Difference(Record):
    """A row minus the base, on the same questions and with the same seeds."""

    value: float
    ci95: tuple[float, float]
    p: float
    """That so large a difference is seen where there is none."""
    p_corrected: float
    """The same, corrected for the number of rows."""
    seeds: int

    @property
    def is_found(self) -> bool:
        """True where it is told from chance at the 5% level, after the correction."""
        return self.p_corrected < 0.05


class Cell(Record):
    """The score of one row in one column."""

    score: Metric
    seeds: dict[int, float]
    """Score of each seed."""
    seed_deviation: float
    """Standard deviation of one training's score; pooled over all rows where the study says so."""
    difference: Difference | None = None
    """None of the base, and of rows that are the same experiment."""
    published: float | None = None


class Line(Record):
    """One row of the table."""

    name: str
    label: str
    cells: dict[str, Cell]
    """By `benchmark/metric`; a column that has no score yet is missing."""
    missing: list[int] = Field(default_factory=list)
    """Seeds without a result: not run yet, or failed."""
    parameters: int | None = None
    """Of the aligner."""
    tokens: int | None = None
    """Of a square video."""
    macs: int | None = None
    """Multiply-accumulates of the aligner for it."""


class StudyTable(Record):
    """The content of table.json."""

    study: str
    title: str
    columns: dict[str, Column]
    """By `benchmark/metric`."""
    lines: list[Line]
    correction: str
    seed_variance: str
    source: str = ""
    """Of the published scores."""

    def base(self) -> Line:
        """Return the row that the others are compared with."""
        return next(line for line in self.lines if line.name == BASE)


class _Values(NamedTuple):
    """The answers of one run, by question or group."""

    of: dict[str, float]
    clusters: dict[str, str]
    strata: dict[str, str] | None


@dataclass(frozen=True)
class _Measured:
    """One column with what every row has in it."""

    column: Column
    bounds: tuple[float, float]
    rows: Mapping[str, Mapping[int, _Values]]
    """By row and seed."""

    def seed_variance(self) -> tuple[float, float] | None:
        """Return the variance of one training's score over seeds, pooled over the rows, and its degrees of freedom."""
        import numpy as np

        scores = [[_score(values) for values in seeds.values()] for seeds in self.rows.values()]
        several = [row for row in scores if len(row) > 1]
        degrees = sum(len(row) - 1 for row in several)
        if not degrees:
            return None
        return sum(float(np.var(row, ddof=1)) * (len(row) - 1) for row in several) / degrees, float(degrees)


def build_table(study: Study, folder: StudyFolder) -> StudyTable:
    """Return the table of what has been measured so far.

    Raises:
        RunError: nothing was measured yet, or rows were measured in different ways.
        DataError: the registry has another version of a protocol than the results.
    """
    measured = {f"{m.column.benchmark}/{m.column.metric}": m for m in _measured(study, folder)}
    if not measured:
        raise RunError(f"{folder.path}: nothing has been measured yet; `vlmkit ablate {study.file}` runs the study")
    cells = {name: _cells(study, one) for name, one in measured.items()}
    return StudyTable(
        study=study.spec.study,
        title=study.spec.title,
        columns={name: one.column for name, one in measured.items()},
        lines=[_line(study, folder, row, cells) for row in study.rows],
        correction=study.spec.correction,
        seed_variance=study.spec.seed_variance,
        source=study.spec.published.source if study.spec.published else "",
    )


def _measured(study: Study, folder: StudyFolder) -> Iterator[_Measured]:
    """Yield the columns, in the order of the benchmarks."""
    evaluation = study.rows[0].experiment.evaluation
    assert evaluation is not None
    for use in evaluation.benchmarks:
        found: dict[str, dict[int, RunFolder]] = {}
        for row in study.rows:
            runs = [(run.seed, folder.run_folder(run)) for run in study.runs_of(row.name)]
            there = {seed: run for seed, run in runs if (run.evaluation(use.result_name) / "result.json").is_file()}
            if there:
                found[row.name] = there
        if found:
            yield from _columns(study, use.result_name, found, evaluation.benchmarks_path)


def _columns(
    study: Study, name: str, found: Mapping[str, Mapping[int, RunFolder]], more: Sequence[str]
) -> Iterator[_Measured]:
    results = {
        (row, seed): read_result(run.evaluation(name) / "result.json")
        for row, seeds in found.items()
        for seed, run in seeds.items()
    }
    first = next(iter(results.values()))
    rules = rules_of(first, more)
    cluster = find_benchmark(first.benchmark, more).cluster
    conditions = {(r.protocol, str(r.judge or "none"), r.split, r.limit) for r in results.values()}
    if len(conditions) > 1:
        raise RunError(
            f"{name}: the runs of the study were measured in different ways (protocol, judge, split, limit): "
            f"{'; '.join(sorted(map(str, conditions)))}; run `vlmkit eval` on those that differ"
        )
    scored = {
        (row, seed): read_scored(run.evaluation(name), more=more)
        for row, seeds in found.items()
        for seed, run in seeds.items()
    }
    wanted = study.spec.metrics or [metric for metric in [primary_metric(rules.protocol.metrics)] if metric]
    for metric in (one for one in wanted if one in rules.protocol.metrics):
        rows: dict[str, dict[int, _Values]] = {}
        for (row, seed), answers in scored.items():
            some = metric_values(answers, metric, rules, cluster)
            strata = None if some.strata is None else dict(zip(some.ids, some.strata, strict=True))
            clusters = dict(zip(some.ids, map(str, some.clusters), strict=True))
            rows.setdefault(row, {})[seed] = _Values(dict(zip(some.ids, some.values, strict=True)), clusters, strata)
        column = Column(
            benchmark=name,
            metric=metric,
            protocol=first.protocol,
            judge=str(first.judge or "none"),
            split=first.split,
            questions=first.n,
        )
        yield _Measured(column, rules.ranges()[metric], rows)


def _cells(study: Study, measured: _Measured) -> dict[str, Cell]:
    """Return the cells of a column, by row."""
    pooled = measured.seed_variance() if study.spec.seed_variance == "pooled" else None
    same = study.runs_of(BASE)[0].rows  # rows that are the base under another name
    cells, differences = {}, {}
    for row, seeds in measured.rows.items():
        mean = _mean(list(seeds.values()), None, pooled)
        low, high = _interval(mean, list(seeds.values()), measured.bounds)
        said = next(one.said for one in study.rows if one.name == row).published
        cells[row] = Cell(
            score=Metric(value=mean.value, ci95=[low, high]),
            seeds={seed: _score(values) for seed, values in seeds.items()},
            seed_deviation=mean.seed_deviation,
            published=said.get(measured.column.benchmark, {}).get(measured.column.metric),
        )
        if row not in same and BASE in measured.rows:
            shared = [seed for seed in seeds if seed in measured.rows[BASE]]
            if shared:
                own, base = ([rows[seed] for seed in shared] for rows in (seeds, measured.rows[BASE]))
                of_seeds = None if pooled is None else (2 * pooled[0], pooled[1])
                differences[row] = len(shared), _mean(own, base, of_seeds, measured.bounds[1] - measured.bounds[0])
    corrected = [mean.p for _, mean in differences.values()]
    corrected = holm(corrected) if study.spec.correction == "holm" else corrected
    span = measured.bounds[1] - measured.bounds[0]
    for (row, (count, mean)), p in zip(differences.items(), corrected, strict=True):
        low, high = mean.interval(-span, span)[1:]
        found = Difference(value=mean.value, ci95=(low, high), p=mean.p, p_corrected=p, seeds=count)
        cells[row] = cells[row].model_copy(update={"difference": found})
    return cells


def _mean(
    own: Sequence[_Values],
    base: Sequence[_Values] | None,
    of_seeds: tuple[float, float] | None,
    span: float | None = None,
) -> SeededMean:
    """Return the mean over the questions that all of these runs have a value of; with `base`, of the differences."""
    everyone = [*own, *(base or ())]
    ids = [key for key in own[0].of if all(key in one.of for one in everyone)]
    if not ids:
        raise DataError("the runs of a row have no question in common that all of them answered")
    first = own[0]
    strata = None if first.strata is None else [first.strata[key] for key in ids]
    values = [[one.of[key] for key in ids] for one in own]
    if base is not None:
        values = [
            [value - other.of[key] for key, value in zip(ids, row, strict=True)]
            for row, other in zip(values, base, strict=True)
        ]
    return seeded_mean(values, [first.clusters[key] for key in ids], strata, of_seeds, span)


def _interval(mean: SeededMean, own: Sequence[_Values], bounds: tuple[float, float]) -> tuple[float, float]:
    """Return the interval of a score: at least as wide as that of its questions, which holds near its bounds too."""
    first = own[0]
    ids = [key for key in first.of if all(key in one.of for one in own)]
    values = [sum(one.of[key] for one in own) / len(own) for key in ids]
    clusters = [first.clusters[key] for key in ids]
    if first.strata is None:
        of_questions = estimate(values, clusters, *bounds)
    else:
        of_questions = macro(values, [first.strata[key] for key in ids], clusters, *bounds)
    _, low, high = mean.interval(*bounds)
    return min(low, of_questions.low), max(high, of_questions.high)


def _score(values: _Values) -> float:
    from vlmkit.statistics.clustering import mean_of

    return mean_of(list(values.of.values()), None if values.strata is None else list(values.strata.values()))


def _line(study: Study, folder: StudyFolder, row: StudyRow, cells: Mapping[str, Mapping[str, Cell]]) -> Line:
    runs = study.runs_of(row.name)
    missing = [run.seed for run in runs if folder.state(run) != "done"]
    composed = next((f for run in runs if (f := folder.run_folder(run).composition_file).is_file()), None)
    summary = read_record(composed, Summary) if composed else None
    return Line(
        name=row.name,
        label=row.label,
        cells={name: by_row[row.name] for name, by_row in cells.items() if row.name in by_row},
        missing=missing,
        parameters=summary.parts.get("aligner") if summary else None,
        tokens=next(iter(summary.tokens.values()), None) if summary else None,
        macs=summary.macs if summary else None,
    )
