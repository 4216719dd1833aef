"""Scores of compared systems on common axes: with intervals, as differences to the base, and by question type."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import UserError
from vlmkit.evaluation.records import Metric
from vlmkit.evaluation.rescoring import read_scored, rules_of
from vlmkit.evaluation.scores import ScoredAnswer, by_label
from vlmkit.formatting import difference, is_accuracy
from vlmkit.report.compared_systems import SystemComparison
from vlmkit.run_folder import RunFolder
from vlmkit.study.paired_rows import mean_of_row, score_interval
from vlmkit.study.run_values import pooled_seed_variance, run_values
from vlmkit.study.table_records import Column

__all__ = ["Axis", "BenchmarkAnswers", "Mark", "TypeRow", "benchmark_answers", "difference_axis", "score_axis",
           "type_rows"]  # fmt: skip


class Mark(NamedTuple):
    """A value on an axis with both ends of its interval, in percent of the axis."""

    system: int
    value: float
    low: float
    high: float
    seeds: Sequence[float] = ()
    """The value of each seed, where there are several."""
    published: float | None = None


@dataclass(frozen=True)
class Axis:
    """A scale that all marks of a table share."""

    low: float
    high: float
    ticks: Sequence[str]
    """Labels of its start, middle and end."""

    def place(self, value: float) -> float:
        """Return a value in percent of the axis."""
        return 100 * min(max((value - self.low) / (self.high - self.low), 0.0), 1.0)

    def mark(
        self,
        system: int,
        value: float,
        ends: Sequence[float],
        seeds: Sequence[float] = (),
        published: float | None = None,
    ) -> Mark:
        """Return the mark of a value."""
        several = [self.place(one) for one in seeds] if len(seeds) > 1 else []
        said = None if published is None else self.place(published)
        return Mark(system, self.place(value), self.place(ends[0]), self.place(ends[1]), several, said)


def score_axis(comparison: SystemComparison, key: str) -> Axis:
    """Return the axis of the scores of a column: from 0, of accuracies to 100%."""
    metric = comparison.table.columns[key].metric
    if is_accuracy(metric):
        return Axis(0.0, 1.0, ("0%", "50%", "100%"))
    cells = [system.row.cells[key] for system in comparison.systems if key in system.row.cells]
    top = float(math.ceil(max(max(cell.score.ci95[1], cell.published or 0.0) for cell in cells))) or 1.0
    return Axis(0.0, top, [f"{top * i / 2:g}" for i in range(3)])


def difference_axis(comparison: SystemComparison, key: str) -> Axis | None:
    """Return the axis of the differences of a column, with 0 in its middle; None where there are none."""
    found = [system.row.cells[key].difference for system in comparison.systems if key in system.row.cells]
    ends = [abs(end) for one in found if one for end in one.ci95]
    if not ends:
        return None
    metric, unit = comparison.table.columns[key].metric, 10.0 ** math.floor(math.log10(max(*ends, 1e-4)))
    top = next(step * unit for step in (1, 1.5, 2, 3, 4, 5, 7.5, 10, 20) if step * unit >= max(ends))
    return Axis(-top, top, (difference(-top, metric), "0", difference(top, metric)))


@dataclass(frozen=True)
class BenchmarkAnswers:
    """The answers of all systems to the questions of one benchmark."""

    name: str
    """Name of the result."""
    column: Column
    rules: Rules
    cluster: str
    of: Mapping[int, Mapping[int, Sequence[ScoredAnswer]]]
    """By system, then by the place of its run."""


def benchmark_answers(comparison: SystemComparison) -> tuple[list[BenchmarkAnswers], dict[str, str]]:
    """Return the answers to each benchmark; where they cannot be told, e.g. of a benchmark that is gone, why."""
    found: list[BenchmarkAnswers] = []
    untold: dict[str, str] = {}
    for column in comparison.table.columns.values():
        if column.benchmark in untold or any(one.name == column.benchmark for one in found):
            continue
        try:
            if answers := _answers(comparison, column):
                found.append(answers)
        except UserError as error:
            untold[column.benchmark] = str(error)
    return found, untold


def _answers(comparison: SystemComparison, column: Column) -> BenchmarkAnswers | None:
    """Return the answers to one benchmark; None where another framework measured."""
    name = column.benchmark
    of: dict[int, dict[int, Sequence[ScoredAnswer]]] = {}
    rules: Rules | None = None
    cluster = ""
    for number, system in enumerate(comparison.systems):
        for place, run in enumerate(system.runs):
            result = run.results.get(name)
            if result is None or result.harness is not None:
                continue
            evaluation = run.experiment.evaluation if run.experiment else None
            more = evaluation.benchmarks_path if evaluation else []
            of.setdefault(number, {})[place] = read_scored(RunFolder(run.folder).evaluation(name), more=more)
            if rules is None:
                rules, cluster = rules_of(result, more), find_benchmark(result.benchmark, more).cluster
    return BenchmarkAnswers(name, column, rules, cluster, of) if rules is not None else None


class TypeRow(NamedTuple):
    """The scores of all systems on the questions of one type."""

    name: str
    n: int
    """Questions of it."""
    scores: Sequence[Metric | None]
    """By system; None where nothing was scored."""
    marks: Sequence[Mark]


def type_rows(comparison: SystemComparison, answers: BenchmarkAnswers, axis: Axis) -> list[TypeRow]:
    """Return the scores by question type, those of which the base scores highest first; none of a single type."""
    parts = {
        (system, place): by_label(scored, "type")
        for system, runs in answers.of.items()
        for place, scored in runs.items()
    }
    names = dict.fromkeys(name for labels in parts.values() for name in labels)
    rows = [_type_row(name, parts, comparison, answers, axis) for name in names]
    rows = [row for row in rows if any(row.scores)]
    if len(rows) < 2:
        return []
    return sorted(rows, key=lambda row: (-(row.scores[0].value if row.scores[0] else 0.0), row.name))


def _type_row(
    name: str,
    parts: Mapping[tuple[int, int], Mapping[str, Sequence[ScoredAnswer]]],
    comparison: SystemComparison,
    answers: BenchmarkAnswers,
    axis: Axis,
) -> TypeRow:
    metric, bounds = answers.column.metric, answers.rules.ranges()[answers.column.metric]
    values = [
        [
            some
            for (own, _), labels in parts.items()
            if own == system
            for some in [run_values(labels.get(name, ()), metric, answers.rules, answers.cluster)]
            if some.of
        ]
        for system in range(len(comparison.systems))
    ]
    table = comparison.table
    pooled = pooled_seed_variance(values) if table.seed_variance == "pooled" else None
    scores: list[Metric | None] = []
    for own in values:
        if not own:
            scores.append(None)
            continue
        mean = mean_of_row(own, pooled)
        scores.append(Metric(value=mean.value, ci95=score_interval(table, mean, own, bounds)))
    marks = list(_marks(scores, axis))
    return TypeRow(name, max((len(some.of) for own in values for some in own), default=0), scores, marks)


def _marks(scores: Sequence[Metric | None], axis: Axis) -> Iterator[Mark]:
    for system, score in enumerate(scores):
        if score is not None:
            yield axis.mark(system, score.value, score.ci95)
