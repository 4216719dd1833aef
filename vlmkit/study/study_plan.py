"""A study before anything runs: what each row is made of, what is shared, and which difference the study can find."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vlmkit.benchmarks.entries import find_benchmark
from vlmkit.evaluation.questions import prepare_benchmark
from vlmkit.formatting import columns, large, plural
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import stage_identity
from vlmkit.statistics.study_power import StudyPower
from vlmkit.study.rows import BASE, Study
from vlmkit.summary import Summary, summarize

__all__ = ["Assumed", "PlannedRow", "StudyPlan", "plan_study"]


@dataclass(frozen=True)
class Assumed:
    """Assumptions that the power of a study depends on."""

    seed_deviation: float = 0.01
    """Standard deviation of the score of one training, over seeds."""
    discordant: float = 0.1
    """Share of the questions that only one of two rows answers rightly."""
    design_effect: float = 1.0
    """Of the differences, where several questions are about one video."""


@dataclass(frozen=True)
class PlannedRow:
    """One row, composed on the meta device."""

    label: str
    summary: Summary
    fixed: float
    """What the study wants to be equal."""
    differs: float
    """By which share `fixed` differs from the base's."""


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

    def detectable(self, benchmark: str, assumed: Assumed) -> float | None:
        """Return the least difference that is found in 4 of 5 studies; None with one seed or unknown questions."""
        questions, seeds = self.questions[benchmark], len(self.study.spec.seeds)
        if not questions or seeds < 2:
            return None
        others = len(self.study.rows) - 1
        pooled = self.study.spec.seed_variance == "pooled"
        return StudyPower(
            seeds=seeds,
            of_questions=assumed.design_effect * assumed.discordant / questions,
            seed_variance=2 * assumed.seed_deviation**2,
            degrees=(others + 1) * (seeds - 1) if pooled else seeds - 1,
            comparisons=others if self.study.spec.correction == "holm" else 1,
        ).detectable()

    def text(self, assumed: Assumed) -> str:
        """Return all of it for a reader."""
        return "\n".join(self._lines(assumed))

    def _lines(self, assumed: Assumed) -> Iterator[str]:
        study, spec = self.study, self.study.spec
        yield f"{spec.study}: {plural(len(self.rows), 'row')}, {plural(len(spec.seeds), 'seed')}, all fit together"
        head = ("row", "aligner", "tokens", "multiply-accumulates", spec.fixed, "of the base's")
        yield columns([head, *(self._cells(row) for row in self.rows)])
        several = len(self.rows) * len(spec.seeds) - len(study.runs)
        yield f"{plural(len(study.runs), 'run')}" + (f"; {several} more are equal to one of them" if several else "")
        yield (
            f"{plural(self.stages_trained, 'training stage')} to be trained of {self.stages}: the others are those of "
            "another run"
        )
        for name, questions in self.questions.items():
            found = self.detectable(name, assumed)
            if found is None:
                yield f"{name}: " + ("with one seed, chance over seeds is not known" if questions else "not here")
                continue
            yield (
                f"{name}, {questions:,} questions: differences of {100 * found:.1f} points are found in 4 of 5 "
                f"studies, if scores vary by {100 * assumed.seed_deviation:g} points over seeds and "
                f"{100 * assumed.discordant:g}% of the questions are answered by one of two rows alone"
            )

    def _cells(self, row: PlannedRow) -> tuple[str, ...]:
        summary = row.summary
        differs = "" if row is self.rows[0] else "the same" if not row.differs else f"{row.differs:+.1%}"
        sizes = f"{summary.parts['aligner']:,}", f"{summary.tokens['square']:,}", large(summary.macs)
        return (row.label, *sizes, f"{row.fixed:,.0f}", differs)


def plan_study(study: Study) -> StudyPlan:
    """Compose every row on the meta device, and count. A UserError where one does not fit together."""
    summaries = [summarize(row.experiment) for row in study.rows]
    base = _fixed(study, study.rows[0].experiment, summaries[0])
    rows = []
    for row, summary in zip(study.rows, summaries, strict=True):
        fixed = _fixed(study, row.experiment, summary)
        differs = 0.0 if row.name == BASE else fixed / base - 1 if base else 0.0
        rows.append(PlannedRow(row.label, summary, fixed, differs))
    counts = [len(run.experiment.training.stages) if run.experiment.training else 0 for run in study.runs]
    trained = {
        stage_identity(run.experiment, number)
        for run, count in zip(study.runs, counts, strict=True)
        for number in range(1, count + 1)
    }
    rows_of_runs = [len(run.rows) for run in study.runs]
    stages = sum(count * rows for count, rows in zip(counts, rows_of_runs, strict=True))
    evaluation = study.rows[0].experiment.evaluation
    assert evaluation is not None
    questions = {use.result_name: _questions(use, evaluation.benchmarks_path) for use in evaluation.benchmarks}
    return StudyPlan(study, tuple(rows), stages, len(trained), questions)


def _fixed(study: Study, spec: ExperimentSpec, summary: Summary) -> float:
    """Return how much of what is to be equal a row has."""
    what = study.spec.fixed
    if what == "steps":
        return sum(stage.steps or 0 for stage in spec.training.stages) if spec.training else 0
    if what == "tokens":
        return summary.tokens["square"]
    return summary.macs if what == "operations" else summary.parts["aligner"]


def _questions(use: BenchmarkUse, more: list[str]) -> int:
    """Return how many questions are asked, as the registry or the files on this machine say; 0 where neither does."""
    if use.harness is not None:
        return 0
    entry = find_benchmark(use.name, more)
    _, split = entry.split(use.split)
    count = split.questions or len(prepare_benchmark(use, more).documents)
    return min(count, use.limit) if use.limit else count
