"""A study before anything runs: what each row is made of, what is shared, and which difference the study can find."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.evaluation.questions import prepare_benchmark
from vlmkit.formatting import columns, is_accuracy, large, plural
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import stage_identity
from vlmkit.statistics.study_power import StudyPower
from vlmkit.study.rows import Study
from vlmkit.study.run_values import chosen_metrics
from vlmkit.study.variance_components import PowerAssumptions, VarianceComponents
from vlmkit.summary import Summary, summarize

__all__ = ["PlannedRow", "StudyPlan", "count_questions", "plan_study"]


@dataclass(frozen=True)
class PlannedRow:
    """One row, composed on the meta device."""

    label: str
    summary: Summary
    fixed: float | None
    """What the study wants to be equal; None: steps that depend on the size of the data, which is not read here."""
    differs: float | None
    """By which share `fixed` differs from the base's; None: not known."""


@dataclass(frozen=True)
class StudyPlan:
    """The runs and the cost of a study."""

    study: Study
    rows: tuple[PlannedRow, ...]
    stages: int
    """Training stages of all rows and seeds."""
    stages_trained: int
    """Those that are trained, where each is trained once."""
    questions: dict[str, int]
    """By benchmark; 0 where they cannot be counted here."""
    metrics: dict[str, str]
    """By benchmark, the metric of its first column, where it has one and no other framework measures."""

    def detectable(self, benchmark: str, components: VarianceComponents) -> float | None:
        """Return the least difference that is found in 4 of 5 studies; None with one seed or unknown questions."""
        spec = self.study.spec
        if not self.questions[benchmark] or len(spec.seeds) < 2:
            return None
        rows = len(self.study.distinct)
        return StudyPower(
            seeds=len(spec.seeds),
            question_variance=components.question_variance,
            seed_variance=components.seed_variance,
            degrees=(rows if spec.seed_variance == "pooled" else 1) * (len(spec.seeds) - 1),
            comparisons=max(1, rows - 1) if spec.correction == "holm" else 1,
            always_valid=spec.stop_when is not None,
        ).detectable()

    def text(self, assumed: PowerAssumptions, measured: Mapping[str, VarianceComponents] | None = None) -> str:
        """Return all of it for a reader. What runs of the study have shown, by benchmark, counts more than what is
        assumed."""
        return "\n".join(self._lines(assumed, measured or {}))

    def _lines(self, assumed: PowerAssumptions, measured: Mapping[str, VarianceComponents]) -> Iterator[str]:
        study, spec = self.study, self.study.spec
        yield f"{spec.study}: {plural(len(self.rows), 'row')}, {plural(len(spec.seeds), 'seed')}, all fit together"
        steps = ["steps"] if spec.fixed == "steps" else []  # the others have a column of their own
        head = ("row", "visual part", "tokens", "multiply-accumulates", *steps, f"{spec.fixed} against the base's")
        yield columns([head, *(self._cells(row) for row in self.rows)])
        several = len(self.rows) * len(spec.seeds) - len(study.runs)
        yield f"{plural(len(study.runs), 'run')}" + (f"; {several} more are equal to one of them" if several else "")
        others = ": the others are those of another run" if self.stages_trained < self.stages else ""
        yield f"{plural(self.stages_trained, 'training stage')} to be trained of {self.stages}{others}"
        for name, questions in self.questions.items():
            yield f"{name}{f', {questions:,} questions' * bool(questions)}: {self._power(name, assumed, measured)}"
        if spec.stop_when is not None:
            yield "rows end early where that is clear (stop_when); the differences are those that all seeds find"

    def _power(self, name: str, assumed: PowerAssumptions, measured: Mapping[str, VarianceComponents]) -> str:
        if not self.questions[name]:
            return "how many questions it has is not known here"
        metric = self.metrics.get(name, "accuracy")
        if name not in measured and not is_accuracy(metric):
            return f"which difference of {metric} is found can be told when two seeds of two rows are measured"
        components = measured.get(name) or assumed.components(self.questions[name])
        found = self.detectable(name, components)
        if found is None:
            return "with one seed, the variance over seeds is not known"
        if math.isinf(found):
            return "so few seeds find no difference that holds after every one of them (stop_when): give more `seeds`"
        least = f"{100 * found:.1f} points" if is_accuracy(metric) else f"{found:.2f}"
        said = f"differences of {least} are found in 4 of 5 studies"
        if components.runs:
            return f"{said}, with the variance that {plural(components.runs, 'run')} of this study had"
        return (
            f"{said}, if scores vary by {100 * assumed.seed_deviation:g} points over seeds and "
            f"{100 * assumed.discordant:g}% of the questions are answered by one of two rows alone"
        )

    def _cells(self, row: PlannedRow) -> tuple[str, ...]:
        summary = row.summary
        known = "not known" if row.differs is None else f"{row.differs:+.1%}" if row.differs else "the same"
        differs = "" if row is self.rows[0] else known
        sizes = f"{summary.visual_parameters:,}", f"{summary.tokens['square']:,}", large(summary.macs)
        steps = ["by epochs" if row.fixed is None else f"{row.fixed:,.0f}"] if self.study.spec.fixed == "steps" else []
        return (row.label, *sizes, *steps, differs)


def plan_study(study: Study) -> StudyPlan:
    """Compose every row on the meta device, and count. A UserError where one does not fit together."""
    summaries = [summarize(row.experiment) for row in study.rows]
    base = _fixed(study, study.rows[0].experiment, summaries[0])
    rows = []
    for row, summary in zip(study.rows, summaries, strict=True):
        fixed = _fixed(study, row.experiment, summary)
        if fixed is None or base is None:
            same = study.spec.fixed == "steps" and _lengths(row.experiment) == _lengths(study.rows[0].experiment)
            differs = 0.0 if same else None
        else:
            differs = fixed / base - 1 if base else 0.0
        rows.append(PlannedRow(row.label, summary, fixed, differs))
    counts = [len(run.experiment.training.stages) if run.experiment.training else 0 for run in study.runs]
    trained = {
        stage_identity(run.experiment, number)
        for run, count in zip(study.runs, counts, strict=True)
        for number in range(1, count + 1)
    }
    rows_of_runs = [len(run.rows) for run in study.runs]
    stages = sum(count * rows for count, rows in zip(counts, rows_of_runs, strict=True))
    return StudyPlan(study, tuple(rows), stages, len(trained), count_questions(study), _first_metrics(study))


def count_questions(study: Study) -> dict[str, int]:
    """Return how many questions each benchmark asks; 0 where they cannot be counted here."""
    return {use.result_name: _questions(use, study.evaluation.benchmarks_path) for use in study.evaluation.benchmarks}


def _first_metrics(study: Study) -> dict[str, str]:
    found: dict[str, str] = {}
    for use in study.evaluation.benchmarks:
        if use.harness is None:
            metrics = find_benchmark(use.name, study.evaluation.benchmarks_path).protocol(use.protocol).metrics
            if chosen := chosen_metrics(study.spec, metrics):
                found[use.result_name] = chosen[0]
    return found


def _fixed(study: Study, spec: ExperimentSpec, summary: Summary) -> float | None:
    """Return how much of what is to be equal a row has; None of steps that depend on the size of the data."""
    what = study.spec.fixed
    if what == "steps":
        steps = [stage.steps for stage in spec.training.stages] if spec.training else []
        return None if None in steps else sum(step for step in steps if step is not None)
    if what == "tokens":
        return summary.tokens["square"]
    return summary.macs if what == "operations" else summary.visual_parameters


def _lengths(spec: ExperimentSpec) -> list[dict[str, Any]]:
    """Return all that the number of steps of each stage depends on."""
    keys = {"data", "steps", "epochs", "fraction", "batch_size"}
    return [stage.model_dump(include=keys) for stage in spec.training.stages] if spec.training else []


def _questions(use: BenchmarkUse, more: list[str]) -> int:
    """Return how many questions are asked, as the registry or the files on this machine say; 0 where neither does."""
    if use.harness is not None:
        return 0
    entry = find_benchmark(use.name, more)
    _, split = entry.split(use.split)
    count = split.questions or len(prepare_benchmark(use, more).documents)
    return min(count, use.limit) if use.limit else count
