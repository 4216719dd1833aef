"""Measured values of all runs of a study: by column of the table, row and seed, the value of each question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import RunError
from vlmkit.evaluation.records import read_result
from vlmkit.evaluation.rescoring import read_scored, rules_of
from vlmkit.evaluation.scores import ScoredAnswer, metric_values, primary_metric
from vlmkit.run_folder import RunFolder
from vlmkit.spec.study import StudySpec
from vlmkit.statistics.clustering import mean_of
from vlmkit.study.rows import Study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table_records import Column

__all__ = ["MeasuredColumn", "RunValues", "chosen_metrics", "measured_columns", "pooled_seed_variance", "run_values"]


class RunValues(NamedTuple):
    """The answers of one run, by question or group."""

    of: dict[str, float]
    clusters: dict[str, str]
    strata: dict[str, str] | None

    @property
    def score(self) -> float:
        """The mean."""
        return mean_of(list(self.of.values()), None if self.strata is None else list(self.strata.values()))


@dataclass(frozen=True)
class MeasuredColumn:
    """One column with what every row has in it."""

    column: Column
    bounds: tuple[float, float]
    rows: Mapping[str, Mapping[int, RunValues]]
    """By row and seed; rows that are the same experiment stand here once, under the first one's name."""

    @property
    def name(self) -> str:
        """`benchmark/metric`."""
        return f"{self.column.benchmark}/{self.column.metric}"

    def first(self, seeds: Sequence[int]) -> MeasuredColumn:
        """Return what these seeds alone have brought."""
        rows = {row: {seed: one for seed, one in runs.items() if seed in seeds} for row, runs in self.rows.items()}
        return replace(self, rows={row: runs for row, runs in rows.items() if runs})

    def seed_variance(self) -> tuple[float, float] | None:
        """Return the variance of one training's score over seeds, pooled over the rows, and its degrees of freedom."""
        return pooled_seed_variance(seeds.values() for seeds in self.rows.values())


def run_values(answers: Sequence[ScoredAnswer], metric: str, rules: Rules, cluster: str) -> RunValues:
    """Return the values of one metric of the answers of one run."""
    some = metric_values(answers, metric, rules, cluster)
    strata = None if some.strata is None else dict(zip(some.ids, some.strata, strict=True))
    clusters = dict(zip(some.ids, map(str, some.clusters), strict=True))
    return RunValues(dict(zip(some.ids, some.values, strict=True)), clusters, strata)


def pooled_seed_variance(rows: Iterable[Iterable[RunValues]]) -> tuple[float, float] | None:
    """Return the variance of one training's score over seeds, pooled over rows, and its degrees of freedom.

    None where no row has several seeds.
    """
    import numpy as np

    scores = [[values.score for values in row] for row in rows]
    several = [row for row in scores if len(row) > 1]
    degrees = sum(len(row) - 1 for row in several)
    if not degrees:
        return None
    return sum(float(np.var(row, ddof=1)) * (len(row) - 1) for row in several) / degrees, float(degrees)


def chosen_metrics(spec: StudySpec, metrics: Sequence[str]) -> list[str]:
    """Return those of a benchmark's metrics that are columns of the table."""
    wanted = spec.metrics or [metric for metric in [primary_metric(metrics)] if metric]
    return [metric for metric in wanted if metric in metrics]


def measured_columns(study: Study, folder: StudyFolder) -> Iterator[MeasuredColumn]:
    """Yield the columns, in the order of the benchmarks."""
    for use in study.evaluation.benchmarks:
        found: dict[str, dict[int, RunFolder]] = {}
        for run in study.runs:
            place = folder.run_folder(run)
            if (place.evaluation(use.result_name) / "result.json").is_file():
                found.setdefault(run.rows[0], {})[run.seed] = place
        if found:
            yield from _columns(study, use.result_name, found, study.evaluation.benchmarks_path)


def _columns(
    study: Study, name: str, found: Mapping[str, Mapping[int, RunFolder]], more: Sequence[str]
) -> Iterator[MeasuredColumn]:
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
    for metric in chosen_metrics(study.spec, rules.protocol.metrics):
        rows: dict[str, dict[int, RunValues]] = {}
        for (row, seed), answers in scored.items():
            rows.setdefault(row, {})[seed] = run_values(answers, metric, rules, cluster)
        column = Column(
            benchmark=name,
            metric=metric,
            protocol=first.protocol,
            judge=str(first.judge or "none"),
            split=first.split,
            questions=first.n,
        )
        yield MeasuredColumn(column, rules.ranges()[metric], rows)
