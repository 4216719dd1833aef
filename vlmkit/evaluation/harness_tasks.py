"""Benchmarks of other frameworks, measured on the model of a run as those of the registry are: prepared early, once."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.api.harness import Harness, HarnessPart, HarnessScore, HarnessTask
from vlmkit.errors import DataError
from vlmkit.evaluation.answer_model import AnswerModel, LoadedModel
from vlmkit.evaluation.fingerprint import answering_components
from vlmkit.evaluation.measured import keep_result
from vlmkit.evaluation.records import (
    BenchmarkResult,
    Conditions,
    HarnessUsed,
    Metric,
    TypeScores,
    read_result,
    write_result,
)
from vlmkit.files import write_atomic
from vlmkit.json_files import is_present, json_line
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import origins, versions
from vlmkit.spec.loading import sha256

__all__ = ["PreparedTask", "finished_task", "measure_task", "prepare_task", "task_conditions"]

_SAMPLES = "samples.jsonl"
_COUNTING = "n documents make up the metrics; they are scored by the framework that `harness` names"


class PreparedTask(NamedTuple):
    """A benchmark of another framework, ready to be measured."""

    name: str
    """Name of the result and of its folder in the run."""
    use: BenchmarkUse
    harness: Harness
    task: HarnessTask


def prepare_task(use: BenchmarkUse) -> PreparedTask:
    """Prepare a benchmark of a harness. A UserError where something is missing on this machine."""
    assert use.harness is not None
    harness = use.harness.build()
    return PreparedTask(use.result_name, use, harness, harness.prepare(use.limit))


def task_conditions(prepared: PreparedTask, spec: ExperimentSpec, model_sha256: str) -> Conditions:
    """Return all that the result depends on."""
    task, options = prepared.task, prepared.use.harness
    assert options is not None
    settings = json.loads(json.dumps(dict(task.settings)))  # as a file gives them back
    return Conditions(
        benchmark=f"{options.type}:{options.task}",
        version=task.version,
        split=task.split,
        limit=prepared.use.limit,
        asked=task.asked,
        model_sha256=model_sha256,
        judge=None,
        components={**answering_components(spec), **versions(origins(options))},
        harness=HarnessUsed(name=options.type, version=prepared.harness.version, settings=settings),
    )


def finished_task(path: Path, conditions: Conditions, spec: ExperimentSpec) -> BenchmarkResult | None:
    """Return the result of the same conditions; other parts of the spec may have changed since."""
    if not is_present(path):
        return None
    result = read_result(path)
    if result.model_dump(include=set(Conditions.model_fields)) != conditions.model_dump():
        return None
    if result.spec_sha256 != sha256(spec):
        result = result.model_copy(update={"spec_sha256": sha256(spec)})
        write_result(path, result)
    return result


def measure_task(
    prepared: PreparedTask, conditions: Conditions, spec: ExperimentSpec, folder: Path, model: AnswerModel
) -> BenchmarkResult:
    """Measure one benchmark; result.json is written last."""
    assert spec.evaluation is not None
    if not isinstance(model, LoadedModel):
        raise DataError(f"{prepared.name}: a harness needs a model with its processor, not a function that answers")
    started = time.monotonic()
    found = prepared.harness.measure(*model.loaded, spec.evaluation.batch_size, prepared.use.limit)
    folder.mkdir(parents=True, exist_ok=True)
    samples = folder / _SAMPLES
    write_atomic(samples, "".join(json_line(row) for row in found.samples))
    scores = dict(_scores(found, prepared.name)) | {"skipped": 0, "unscored": 0}
    scores["by_type"] = {name: _scores(part, prepared.name) for name, part in found.parts.items()}
    return keep_result(folder, conditions, scores, [samples], time.monotonic() - started, sha256(spec), _COUNTING)


def _scores(part: HarnessPart, name: str) -> TypeScores:
    return TypeScores(n=part.documents, metrics=_metrics(part.metrics, name))


def _metrics(scores: Mapping[str, HarnessScore], name: str) -> dict[str, Metric]:
    return {metric: _metric(score, f"{name}, {metric}") for metric, score in scores.items()}


def _metric(score: HarnessScore, where: str) -> Metric:
    """Return a metric with its 95% interval: Wilson's where each document is right or wrong, Student's for other means
    over documents, the bootstrap's for what is no mean."""
    from vlmkit.statistics.intervals import estimate, from_draws, macro

    documents = list(range(len(score.values)))
    ends: Any = (0.0, 1.0) if set(score.values) <= {0.0, 1.0} else (-math.inf, math.inf)
    if not score.values:
        found = from_draws(score.value, score.draws)
    elif score.strata:
        found = macro(score.values, score.strata, documents, *ends)
    else:
        found = estimate(score.values, documents, *ends)
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        raise DataError(f"{where}: {len(documents)} document has no interval; raise `limit`")
    return Metric(value=score.value, ci95=[found.low, found.high])
