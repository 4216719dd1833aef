"""Everything that a model card says, read from the folder of a saved model and from the run that it is of, if any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from vlmkit.evaluation.fingerprint import model_sha256
from vlmkit.evaluation.records import BenchmarkResult
from vlmkit.evaluation.rescoring import rules_of
from vlmkit.evaluation.saved_model import spec_of_saved
from vlmkit.formatting import duration, plural
from vlmkit.json_files import is_present, read_record
from vlmkit.publish.portable import portable
from vlmkit.report.results import BenchmarkSection, benchmark_section
from vlmkit.report.run_files import ComponentOutline, RunFiles, StageOutline
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import validate_spec
from vlmkit.spec.tree import placed
from vlmkit.summary import Summary, summarize
from vlmkit.training.metrics import MetricsLine, read_stage_record

__all__ = ["CardFacts", "StageFacts", "gather_facts"]


class _StageData(BaseModel):
    """An entry of a stage's data.json."""

    type: str
    samples: int


class StageFacts(NamedTuple):
    """One training stage as the card tells it."""

    name: str
    datasets: list[str]
    """The component of each dataset."""
    data: list[str]
    """Each dataset with its options and samples."""
    trains: list[str]
    """Each part with its trained parameters and learning rates."""
    length: str
    """Steps, batch size and time."""
    loss: float | None
    """At the last logged step."""


@dataclass(frozen=True)
class CardFacts:
    """The content of a model card but for what the person who publishes adds."""

    name: str
    model: dict[str, Any]
    """The model's spec, of config.json."""
    language: dict[str, Any]
    """The configuration of the language model, of config.json."""
    dtype: str
    components: dict[str, str]
    """Version of each package that the model needs."""
    parts: dict[str, int]
    """Parameters by part, what is saved alone."""
    tokens: dict[str, int]
    """Tokens per video by aspect ratio."""
    macs: int
    prompts: int = 0
    """Prompts per video, which layers inside the language model read."""
    stages: list[StageFacts] = field(default_factory=list)
    seed: int | None = None
    started_from: str | None = None
    """The weights that training started from."""
    teacher: str | None = None
    results: list[BenchmarkSection] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    """Benchmarks that the spec asks for, without a result."""
    stale: list[str] = field(default_factory=list)
    """Results that are of other weights, and therefore left out."""
    ranges: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    """By result the lowest and highest value of each metric, where the registry has the benchmark."""
    environments: list[dict[str, Any]] = field(default_factory=list)
    adapter: dict[str, Any] | None = None
    """The options of the adapter that is merged, or published."""

    @property
    def aligner(self) -> ComponentOutline:
        """The aligner, with its slots."""
        return ComponentOutline.model_validate(self.model["aligner"])

    @property
    def video(self) -> dict[str, Any]:
        """The options of the aligner's input: frames, sampling, size, fit."""
        found: dict[str, Any] = self.model["aligner"].get("input", {})
        return found

    @property
    def datasets(self) -> list[str]:
        """The datasets of all stages, by the names of their components."""
        return list(dict.fromkeys(name for stage in self.stages for name in stage.datasets))

    @property
    def parameters(self) -> int:
        """All parameters of the model."""
        return sum(self.parts.values())


def gather_facts(
    model: Path,
    config: Mapping[str, Any],
    run: RunFiles | None,
    name: str,
    adapter: Mapping[str, Any] | None = None,
) -> CardFacts:
    """Return what is known of the saved model in the folder `model`, whose config.json is `config`.

    Scores are those of the run's own weights: where an `adapter` changes them, or a result is of other weights, there
    are none.
    """
    spec = run.experiment if run is not None else None
    summary = run.summary if run is not None and run.summary is not None else _summarize(model)
    return CardFacts(
        name=name,
        model=portable(config["model"]),
        language=portable(config.get("text_config") or {}),
        dtype=", ".join(dict.fromkeys((config.get("part_dtypes") or {}).values())) or "float32",
        components={one["package"]: one["version"] for one in (config.get("components") or {}).values()},
        parts={part: summary.parts[part] for part in ("aligner", "backbone", "layers") if part in summary.parts},
        tokens=summary.tokens_by_shape,
        macs=summary.macs,
        prompts=summary.prompts,
        adapter=None if adapter is None else dict(adapter),
        **_of_run(run, spec, measured=adapter is None) if run is not None else {},
    )


def _summarize(model: Path) -> Summary:
    values = {"vlmkit": 1, "name": "model", **spec_of_saved(model.resolve())}
    return summarize(validate_spec(placed(values, f"{model}"), f"{model}"))


def _of_run(run: RunFiles, spec: ExperimentSpec | None, *, measured: bool) -> dict[str, Any]:
    stale = _stale(run, spec) if measured else []
    more = spec.evaluation.benchmarks_path if spec is not None and spec.evaluation is not None else []
    shown = {name: one for name, one in run.results.items() if measured and name not in stale}
    sections = [benchmark_section(name, one, more) for name, one in shown.items()]
    weights = run.spec.model.weights if run.spec.stages else None  # of a run that only measures: the model itself
    teacher = run.spec.training.distillation if run.spec.training else None
    return {
        "stages": [_stage(run, spec, number, stage) for number, stage in enumerate(run.spec.stages, 1)],
        "seed": run.spec.seed if run.spec.stages else None,
        "started_from": None if weights is None else portable(weights),
        "teacher": None if teacher is None else str(teacher.teacher),
        "results": sections,
        "ranges": {one.name: rules_of(one.result, more).ranges() for one in sections if one.benchmark is not None},
        "unmeasured": [name for name in run.spec.benchmarks if name not in shown] if measured else [],
        "stale": stale,
        "environments": run.environments,
    }


def _stale(run: RunFiles, spec: ExperimentSpec | None) -> list[str]:
    """Return the results that are of other weights than the model now has."""
    told: dict[str, BenchmarkResult] = {name: one for name, one in run.results.items() if one.model_sha256}
    if spec is None or not told:
        return []
    own = model_sha256(spec, RunFolder(run.folder))
    return [name for name, one in told.items() if one.model_sha256 != own]


def _stage(run: RunFiles, spec: ExperimentSpec | None, number: int, stage: StageOutline) -> StageFacts:
    folder = RunFolder(run.folder).stage(number, stage.name)
    record = read_stage_record(folder)
    file = folder / "data.json"
    samples = read_record(file, list[_StageData]) if is_present(file) else []
    counts = [f", {one.samples:,} samples" for one in samples] or [""] * len(stage.data)
    log = run.logs.get(stage.name, [])
    steps = record.steps if record is not None else stage.steps
    length = plural(steps, "step") if steps else f"{stage.epochs:g} epochs"
    took = _seconds(log)
    skipped = record.samples_skipped if record is not None else 0
    return StageFacts(
        stage.name,
        [one.type for one in stage.data],
        [f"{text}{more}" for text, more in zip(_datasets(spec, number, stage), counts, strict=True)]
        + ([f"{skipped:,} unreadable samples were skipped"] if skipped else []),
        [
            f"{part.name}{f' ({part.parameters:,})' if part.parameters else ''} at {part.rates}"
            for part in run.trained_parts(stage)
            if part.rates is not None
        ],
        f"{length} of {plural(stage.batch_size, 'sample')}{f', {duration(took)}' if took else ''}",
        log[-1].loss if log else None,
    )


def _datasets(spec: ExperimentSpec | None, number: int, stage: StageOutline) -> list[str]:
    """Return each dataset with the options that are not its defaults, as far as they can be told here."""
    if spec is None or spec.training is None:
        return [one.type for one in stage.data]
    found = []
    for one in spec.training.stages[number - 1].data:
        options = portable(one.model_dump(mode="json", exclude_defaults=True, exclude={"type"}))
        shown = [f"{key} {value}" for key, value in options.items() if isinstance(value, str | int | float)]
        found.append(f"{one.type} ({', '.join(shown)})" if shown else one.type)
    return found


def _seconds(log: Iterable[MetricsLine]) -> float:
    total, before = 0.0, 0
    for line in log:
        total += (line.seconds_per_step or 0.0) * (line.step - before)
        before = line.step
    return total
