"""A timed probe of a study: each different row takes a few steps of every stage and answers a few questions.

It finds what fails before the study is paid for, and tells the hours and the disk of the whole.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from vlmkit.errors import UserError
from vlmkit.formatting import plural
from vlmkit.json_files import Record, read_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import sha256_without_name, stage_identity
from vlmkit.spec.loading import resolved
from vlmkit.study.launching import Launcher
from vlmkit.study.rows import Study, StudyRun
from vlmkit.training.metrics import METRICS, STAGE_RECORD, StageRecord, read_metrics
from vlmkit.training.sample_order import SampleOrder

__all__ = ["ProbedRow", "StudyCost", "StudyProbe", "probe_study"]

_STEPS = 8
"""Optimizer steps of each stage; the first half warms up."""
_BATCHES = 2
"""Batches of questions, after a first one that loads the model."""
_WARM = "probe-warm"


class ProbedRow(Record):
    """The cost of one row, measured in a short run of it."""

    seconds_beside: float
    """Start, loading, reading of annotations, saving: what does not grow with steps and questions."""
    seconds_of_stages: list[float]
    """Of all steps of each stage."""
    seconds_of_questions: float
    """Of all questions of all benchmarks, with controls; those of benchmarks whose number is not known are missing."""
    bytes_of_stages: list[int]
    """Weights that each stage leaves."""
    bytes_beside: int
    """The trained model, answers and all else."""


class StudyCost(NamedTuple):
    """Time and space of some runs."""

    hours: float
    """Of one run after the other, on this machine."""
    gib: float
    """Disk that is taken when all is done; the checkpoints of runs under way come on top."""


class StudyProbe(Record):
    """The content of probe.json."""

    rows: dict[str, ProbedRow]
    """By name; rows that are the same experiment stand here once, under the first one's name."""
    specs: dict[str, str]
    """By name, a checksum of the row's experiment."""

    def is_of(self, study: Study) -> bool:
        """Return whether the rows of a study are those that were probed."""
        return self.specs == _checksums(study)

    def cost(self, runs: Sequence[StudyRun], trained: Collection[str] = ()) -> StudyCost:
        """Return what some runs cost, of which each stage is trained once; those of the identities `trained` are there
        already."""
        seconds = size = 0.0
        trained = set(trained)
        for run in runs:
            row = self.rows[run.rows[0]]
            seconds += row.seconds_beside + row.seconds_of_questions
            size += row.bytes_beside
            for number, (of_steps, weights) in enumerate(zip(row.seconds_of_stages, row.bytes_of_stages, strict=True)):
                stage = stage_identity(run.experiment, number + 1)
                if stage not in trained:
                    trained.add(stage)
                    seconds += of_steps
                    size += weights
        return StudyCost(hours=seconds / 3600, gib=size / 2**30)


def probe_study(
    study: Study,
    launcher: Launcher,
    questions: dict[str, int],
    tell: Callable[[str], None] = lambda line: None,
) -> StudyProbe:
    """Run the probe of every row that is an experiment of its own, one after the other, in a temporary folder.

    Args:
        study: the study.
        launcher: what starts the processes.
        questions: how many each benchmark has, 0 where that is not known.
        tell: called with the name of a row before it starts.

    Raises:
        UserError: rows that fail, each with its last words.
    """
    rows: dict[str, ProbedRow] = {}
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="vlmkit-probe-") as made:
        for run in study.distinct:
            name = run.rows[0]
            tell(name)
            try:
                rows[name] = _probe(run.experiment, launcher, Path(made), questions)
            except UserError as error:
                failed.append(f"{name}: {error}")
    if failed:
        raise UserError(
            "\n".join([f"{plural(len(failed), 'row')} of {study.spec.study} failed in the probe:", *failed])
        )
    return StudyProbe(rows=rows, specs=_checksums(study))


def _checksums(study: Study) -> dict[str, str]:
    return {run.rows[0]: sha256_without_name(run.experiment) for run in study.distinct}


def _probe(experiment: ExperimentSpec, launcher: Launcher, folder: Path, questions: dict[str, int]) -> ProbedRow:
    short, limits = _shortened(experiment)
    spec, log = folder / f"{experiment.name}.yaml", folder / f"{experiment.name}.log"
    spec.write_text(resolved(short), encoding="utf-8")
    began = time.monotonic()
    job = launcher.start(["run", str(spec), "--output", str(folder / "runs")], log, 0)
    try:
        while (code := job.exit_code()) is None:
            time.sleep(0.05)
    except BaseException:
        job.stop()
        raise
    wall = time.monotonic() - began
    if code:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        raise UserError("".join(last).removeprefix("vlmkit: ") or f"exit code {code}")
    run = RunFolder(folder / "runs" / short.name)
    stages = list(_stages(experiment, run))
    evaluations = {name: read_record(run.evaluation(name) / "result.json", _Timed) for name in [_WARM, *limits]}
    beside = wall - sum(seconds for _, seconds, _ in stages) - sum(one.seconds for one in evaluations.values())
    weights = [size for _, _, size in stages]
    controls = len(experiment.evaluation.controls) if experiment.evaluation else 0
    asked = sum(
        evaluations[name].seconds * max(1.0, questions[name] / limit) if questions[name] else 0.0
        for name, limit in limits.items()
    )
    return ProbedRow(
        seconds_beside=max(0.0, beside),
        seconds_of_stages=[seconds for seconds, _, _ in stages],
        seconds_of_questions=asked * (1 + controls),
        bytes_of_stages=weights,
        bytes_beside=max(0, sum(file.stat().st_size for file in run.path.rglob("*") if file.is_file()) - sum(weights)),
    )


class _Timed(Record):
    seconds: float


def _shortened(experiment: ExperimentSpec) -> tuple[ExperimentSpec, dict[str, int]]:
    """Return an experiment with a few steps and questions, and how many questions by benchmark."""
    training, evaluation = experiment.training, experiment.evaluation
    assert evaluation is not None
    if training is not None:
        few = {"steps": _STEPS, "epochs": None, "save_every": _STEPS}
        stages = [stage.model_copy(update=few) for stage in training.stages]
        training = training.model_copy(update={"stages": stages, "log_every": 1})
    most = _BATCHES * evaluation.batch_size
    limits = {use.result_name: min(use.limit or most, most) for use in evaluation.benchmarks}
    warm = evaluation.benchmarks[0].model_copy(update={"label": _WARM, "limit": 1})
    uses = [use.model_copy(update={"limit": limits[use.result_name]}) for use in evaluation.benchmarks]
    more = {"benchmarks": [warm, *uses], "controls": [], "max_unscored_fraction": 1.0}
    return experiment.model_copy(
        update={"training": training, "evaluation": evaluation.model_copy(update=more)}
    ), limits


def _stages(experiment: ExperimentSpec, run: RunFolder) -> Iterator[tuple[float, float, int]]:
    """Yield, of each stage, the seconds of all of its steps, those of the probe's steps, and the bytes it leaves."""
    for number, stage in enumerate(experiment.training.stages if experiment.training else (), 1):
        folder = run.stage(number, stage.name)
        paces = [line.seconds_per_step or 0.0 for line in read_metrics(folder / METRICS)]
        samples = read_record(folder / STAGE_RECORD, StageRecord).samples
        steps = SampleOrder.of(stage, samples, experiment.seed, number).steps
        pace = statistics.median(paces[len(paces) // 2 :])
        yield steps * pace, math.fsum(paces), sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
