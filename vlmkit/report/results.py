"""The section of results: scores with their intervals, by question type, and beside what others have published."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from vlmkit.evaluation.benchmarks import Benchmark, PublishedModel, benchmark_folders, read_benchmark
from vlmkit.evaluation.records import BenchmarkResult, Metric, Scores, TypeScores
from vlmkit.evaluation.scores import primary_metric
from vlmkit.files import expand_path, is_folder
from vlmkit.formatting import figure, figures

__all__ = ["BenchmarkSection", "benchmark_section", "interval", "score"]


class QuestionType(NamedTuple):
    """The scores of one question type, or of all."""

    name: str
    n: int
    series: dict[str, Metric | None]
    """The metric as it is (`model`) and, where one was measured, with the first control (`control`); None: nothing
    scored."""


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

    @property
    def control(self) -> str | None:
        """Name of the first control."""
        return next(iter(self.result.controls), None)

    @property
    def top(self) -> float:
        """The end of the axis."""
        if self.metric == "accuracy":
            return 1.0
        highs = [metric.ci95[1] for row in self.types for metric in row.series.values() if metric]
        return float(math.ceil(max(highs))) or 1.0

    @property
    def ticks(self) -> list[str]:
        """The labels of the axis: its start, middle and end."""
        ticks = [self.top * i / 2 for i in range(3)]
        return [f"{tick:.0%}" if self.metric == "accuracy" else f"{tick:g}" for tick in ticks]

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
    return BenchmarkSection(name, result, benchmark, metric, _types(result, metric) if metric else [])


def score(estimate: Metric, metric: str) -> str:
    """The value of a metric: accuracies in percent, others as they are."""
    return figure(estimate.value, metric)


def interval(estimate: Metric, metric: str) -> str:
    """The 95% interval of a metric."""
    return figures(estimate.ci95, metric)


def _types(result: BenchmarkResult, metric: str) -> list[QuestionType]:
    control = next(iter(result.controls.values()), None)

    def row(name: str, scores: TypeScores | Scores, without: TypeScores | Scores | None) -> QuestionType:
        series = {"model": scores.metrics.get(metric)}
        if control:
            series["control"] = without.metrics.get(metric) if without else None
        return QuestionType(name, scores.n, series)

    scored = {name: scores for name, scores in result.by_type.items() if metric in scores.metrics}
    best_first = sorted(scored, key=lambda name: (-scored[name].metrics[metric].value, name))
    others = control.by_type if control else {}
    return [row("all", result, control), *(row(name, scored[name], others.get(name)) for name in best_first)]
