"""The section of results: scores with their intervals, by question type and with controls, and published ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlmkit.benchmarks.entries import Benchmark, PublishedModel, benchmark_folders, read_benchmark
from vlmkit.benchmarks.protocols import Aggregate
from vlmkit.evaluation.controls import DUE_TO
from vlmkit.evaluation.records import BenchmarkResult, Metric, Scores, TypeScores
from vlmkit.evaluation.scores import primary_metric
from vlmkit.files import expand_path, is_folder
from vlmkit.formatting import difference, differences, figure, figures, is_accuracy

__all__ = ["BenchmarkSection", "benchmark_section", "interval", "lost", "lost_interval", "score"]


class QuestionType(NamedTuple):
    """The scores of the questions of one type, task or other label, or of all."""

    name: str
    n: int
    series: dict[str, Metric | None]
    """The metric as it is (`model`) and, where one was measured, with the first control (`control`); None: nothing
    scored."""


class ControlRow(NamedTuple):
    """The score of one control, beside that of the questions as they are."""

    name: str
    due_to: str
    """What the lost part of the score is due to."""
    series: dict[str, Metric | None]
    """As those of a question type."""
    lost: Metric | None
    """The score without the control minus that with it; None in results of earlier versions."""


@dataclass(frozen=True)
class BenchmarkSection:
    """One result, arranged for the page."""

    name: str
    result: BenchmarkResult
    benchmark: Benchmark | None
    """The entry of the registry; None where this installation has none."""
    metric: str | None
    """The metric of the headline; None where no question could be scored."""
    types: list[QuestionType]
    """All questions together, then each question type that has a score, best first."""
    by: dict[str, list[QuestionType]]
    """The same for further columns of the annotations, without all questions together."""

    @property
    def control(self) -> str | None:
        """Name of the first control."""
        return next(iter(self.result.controls), None)

    @property
    def controls(self) -> list[ControlRow]:
        """All controls."""
        metric = self.metric or ""
        own = self.result.metrics.get(metric)
        return [
            ControlRow(
                name, DUE_TO[name], {"model": own, "control": scores.metrics.get(metric)}, scores.difference.get(metric)
            )
            for name, scores in self.result.controls.items()
        ]

    @property
    def aggregate(self) -> Aggregate:
        """How the values of questions become the score, as far as the registry says it."""
        protocols = self.benchmark.protocols if self.benchmark else {}
        name = self.result.protocol.partition("@")[0] or next(iter(protocols), "")
        return protocols[name].aggregate if name in protocols else Aggregate()

    @property
    def top(self) -> float:
        """The end of the axis."""
        if self.metric and is_accuracy(self.metric):
            return 1.0
        types = [*self.types, *(row for rows in self.by.values() for row in rows)]
        series = [*(row.series for row in types), *(row.series for row in self.controls)]
        highs = [metric.ci95[1] for one in series for metric in one.values() if metric]
        return float(math.ceil(max(highs))) or 1.0

    @property
    def ticks(self) -> list[str]:
        """The labels of the axis: its start, middle and end."""
        ticks = [self.top * i / 2 for i in range(3)]
        return [f"{tick:.0%}" if self.metric and is_accuracy(self.metric) else f"{tick:g}" for tick in ticks]

    def places(self, metric: Metric) -> list[float]:
        """The value of a metric and both ends of its interval, in percent of the axis."""
        return [100 * min(max(place / self.top, 0.0), 1.0) for place in (metric.value, *metric.ci95)]

    def published_scores(self, model: PublishedModel) -> list[str | None]:
        """The metrics of one published model, in the order of the registry."""
        found, names = model.metrics, self.benchmark.protocol(None).metrics if self.benchmark else ()
        return [figure(found[name], name) if name in found else None for name in names]


def benchmark_section(name: str, result: BenchmarkResult, more: Sequence[str] = ()) -> BenchmarkSection:
    """Arrange the result of this name, whose entry may lie in `more` folders of entries, where they are still there."""
    metric = primary_metric(result.metrics)
    folder = benchmark_folders([folder for folder in more if is_folder(expand_path(folder))]).get(result.benchmark)
    benchmark = read_benchmark(folder) if folder else None
    types, by = (_types(result, metric), _by(result, metric)) if metric else ([], {})
    return BenchmarkSection(name, result, benchmark, metric, types, by)


def score(estimate: Metric, metric: str) -> str:
    """The value of a metric: accuracies in percent, others as they are."""
    return figure(estimate.value, metric)


def interval(estimate: Metric, metric: str) -> str:
    """The 95% interval of a metric."""
    return figures(estimate.ci95, metric)


def lost(estimate: Metric, metric: str) -> str:
    """A difference of two values of a metric: of accuracies in points."""
    return difference(estimate.value, metric)


def lost_interval(estimate: Metric, metric: str) -> str:
    """The 95% interval of a difference."""
    return differences(estimate.ci95, metric)


def _types(result: BenchmarkResult, metric: str) -> list[QuestionType]:
    control = next(iter(result.controls.values()), None)
    whole = _row("all", metric, result, {"all": control} if control else None)
    return [whole, *_best_first(metric, result.by_type, control.by_type if control else None)]


def _by(result: BenchmarkResult, metric: str) -> dict[str, list[QuestionType]]:
    """Return the rows of further columns, but for those that say the same as the question type."""
    control = next(iter(result.controls.values()), None)
    rows = {
        column: _best_first(metric, parts, control.by.get(column, {}) if control else None)
        for column, parts in result.by.items()
        if parts != result.by_type
    }
    return {column: some for column, some in rows.items() if some}


def _best_first(
    metric: str, parts: Mapping[str, TypeScores], others: Mapping[str, TypeScores] | None
) -> list[QuestionType]:
    scored = {name: scores for name, scores in parts.items() if metric in scores.metrics}
    names = sorted(scored, key=lambda name: (-scored[name].metrics[metric].value, name))
    return [_row(name, metric, scored[name], others) for name in names]


def _row(
    name: str,
    metric: str,
    scores: TypeScores | Scores,
    others: Mapping[str, TypeScores] | Mapping[str, Scores] | None,
) -> QuestionType:
    """Return one row; `others` are the scores with the control, None where there is none."""
    series = {"model": scores.metrics.get(metric)}
    if others is not None:
        other = others.get(name)
        series["control"] = other.metrics.get(metric) if other else None
    return QuestionType(name, scores.n, series)
