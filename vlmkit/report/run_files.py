"""The files of a run, finished or not, as records for the page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from vlmkit.errors import RunError, UserError
from vlmkit.evaluation.records import BenchmarkResult, read_result
from vlmkit.files import read_text
from vlmkit.formatting import learning_rate
from vlmkit.json_files import BadSample, is_present, read_record, validated
from vlmkit.manifest import check_files
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec, part_of
from vlmkit.spec.loading import read_resolved
from vlmkit.spec.yaml import read as read_yaml
from vlmkit.summary import Summary
from vlmkit.training.metrics import METRICS, MetricsLine, read_metrics, read_stage_record

__all__ = ["ComponentOutline", "RunFiles", "SpecOutline", "StageOutline", "read_run"]


class ComponentOutline(BaseModel):
    """A component that need not be installed here; its options are extra fields."""

    model_config = ConfigDict(extra="allow")
    type: str

    def __str__(self) -> str:
        """Return its name and what fills its slots: `stab (downsampler lsd)`."""
        options = (self.model_extra or {}).items()
        slots = [f"{key} {value['type']}" for key, value in options if isinstance(value, dict) and "type" in value]
        return f"{self.type} ({', '.join(slots)})" if slots else self.type


class StageOutline(BaseModel):
    """A training stage."""

    name: str
    data: list[ComponentOutline]
    train: dict[str, float]
    batch_size: int
    steps: int | None
    epochs: float | None


class _DistillationOutline(BaseModel):
    teacher: ComponentOutline


class _TrainingOutline(BaseModel):
    stages: list[StageOutline]
    distillation: _DistillationOutline | None = None


class _ModelOutline(BaseModel):
    aligner: ComponentOutline
    backbone: ComponentOutline
    weights: str | None = None


class _BenchmarkOutline(BaseModel):
    name: str
    label: str | None = None


class _EvaluationOutline(BaseModel):
    benchmarks: list[_BenchmarkOutline]


class SpecOutline(BaseModel):
    """The resolved spec as far as it can be read without the plugins that it needs."""

    name: str
    seed: int
    model: _ModelOutline
    training: _TrainingOutline | None
    evaluation: _EvaluationOutline | None

    @property
    def stages(self) -> list[StageOutline]:
        """The training stages that the spec asks for."""
        return self.training.stages if self.training else []

    @property
    def benchmarks(self) -> list[str]:
        """The names of the results that the spec asks for."""
        return [use.label or use.name for use in self.evaluation.benchmarks] if self.evaluation else []


class ModelPart(NamedTuple):
    """A part of the model, as far as the run says it."""

    name: str
    component: ComponentOutline | str | None
    parameters: int | None


class TrainedPart(NamedTuple):
    """A part of the model in a training stage."""

    name: str
    parameters: int | None
    """How many of them train."""
    rates: str | None
    """Their learning rates."""


@dataclass(frozen=True)
class RunFiles:
    """The files of one run. Absent ones are empty."""

    folder: Path
    spec_text: str
    spec: SpecOutline
    experiment: ExperimentSpec | None
    """The spec, validated; None where this installation cannot (a plugin is missing)."""
    spec_problem: str
    """The reason why `experiment` is None."""
    environments: list[dict[str, Any]]
    """One entry for each environment that worked on the run."""
    summary: Summary | None
    logs: dict[str, list[MetricsLine]]
    """By stage name; the lines by ascending step."""
    trained: bool
    """True where the trained model is written, which happens after the last stage."""
    bad: list[BadSample]
    """The samples that could not be read."""
    results: dict[str, BenchmarkResult]
    """By benchmark."""
    started: datetime
    ended: datetime

    @property
    def parts(self) -> list[ModelPart]:
        """Components from the spec, parameters from model.json; last what is saved of them."""
        components = {"aligner": self.spec.model.aligner, "backbone": self.spec.model.backbone}
        saved = tuple(components)
        if self.spec.training and self.spec.training.distillation:
            components["teacher"] = self.spec.training.distillation.teacher
        sizes = self.summary.parts if self.summary else {}
        parts = [ModelPart(name, components.get(name), sizes.get(name)) for name in {**components, **sizes}]
        whole = ModelPart("model", "what is saved", sum(sizes.get(name, 0) for name in saved))
        return [*parts, whole] if sizes else parts

    def trained_parts(self, stage: StageOutline) -> list[TrainedPart]:
        """The parts that a stage trains; their parameters from model.json, without it as the spec names them."""
        trained = {stage.name: stage.trains for stage in self.summary.stages} if self.summary else {}
        sizes: dict[str, int] = trained.get(stage.name, {})
        parts = []
        for part in sizes or dict.fromkeys(map(part_of, stage.train)):
            rates = ", ".join(learning_rate(rate) for key, rate in stage.train.items() if part_of(key) == part)
            if sizes.get(part, 1):
                parts.append(TrainedPart(part, sizes.get(part), rates or None))
        return parts

    @property
    def unfinished(self) -> list[str]:
        """The parts of the spec that the run does not hold yet, in sentences."""
        missing = [f"{name} has no result yet." for name in self.spec.benchmarks if name not in self.results]
        return ([] if self.trained else self._untrained()) + missing

    def _untrained(self) -> list[str]:
        sentences = []
        for stage in self.spec.stages:
            log = self.logs.get(stage.name)
            done = log[-1].step if log else 0
            if not done:
                sentences.append(f"Stage {stage.name} has logged nothing yet.")
            elif stage.steps and done < stage.steps:
                sentences.append(f"Stage {stage.name} stands at step {done:,} of {stage.steps:,}.")
        return sentences or (["The trained model is not written yet."] if self.spec.stages else [])


def read_run(folder: Path) -> RunFiles:
    """Read a run folder. A UserError where it is none, or where a file in it is malformed."""
    run = RunFolder(folder)
    run.check()
    run.check_model()
    folder, path = run.path, run.spec_file
    options = validated(read_yaml(path).data, SpecOutline, str(path), "restore the file from a copy")
    try:
        experiment, problem = read_resolved(path), ""
    except UserError as error:
        experiment, problem = None, str(error)
    logs = sorted(folder.glob(f"stages/*/{METRICS}"), key=lambda log: (_number(log.parent.name), log.parent.name))
    results = sorted(folder.glob("eval/*/result.json"))
    times = [datetime.fromtimestamp(file.stat().st_mtime, UTC) for file in [path, *logs, *results]]
    for log in logs:
        _check_log(log)
    return RunFiles(
        folder=folder,
        spec_text=read_text(path, "the resolved spec", RunError),
        spec=options,
        experiment=experiment,
        spec_problem=problem,
        environments=run.environments(),
        summary=read_record(run.composition_file, Summary) if is_present(run.composition_file) else None,
        logs={log.parent.name.partition("-")[2]: read_metrics(log) for log in logs},
        trained=run.model.is_dir(),
        bad=run.bad_lines(),
        results={file.parent.name: read_result(file) for file in results},
        started=min(times),
        ended=max(times),
    )


def _check_log(log: Path) -> None:
    """Raise a CheckpointError where the log of a stage that is done is not what it was then."""
    record = read_stage_record(log.parent)
    if record is not None and log.name in record.files:
        remedy = "restore it, or remove it: the report then does without its curves"
        check_files(log.parent, {log.name: record.files[log.name]}, remedy)


def _number(folder: str) -> int:
    number = folder.partition("-")[0]
    return int(number) if number.isascii() and number.isdecimal() else 0
