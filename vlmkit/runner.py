"""One experiment from spec to report: the few calls that the command line makes, for scripts and notebooks."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api.trained_model import model_folder
from vlmkit.errors import DataError, RunError, SpecError
from vlmkit.eval_target import BenchmarkName, eval_target
from vlmkit.evaluation.controls import DUE_TO
from vlmkit.evaluation.judge_costs import unscored_problems
from vlmkit.evaluation.scores import primary_metric
from vlmkit.evaluation.shards import EvaluationShard
from vlmkit.formatting import plural
from vlmkit.json_files import write_record
from vlmkit.run_folder import RunFolder
from vlmkit.runtime import exit_in_worker, keep_freed_memory, rank
from vlmkit.spec.evaluation import Control
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec

if TYPE_CHECKING:
    from vlmkit.evaluation import BenchmarkResult, PreparedBenchmark, PreparedTask
    from vlmkit.model import VideoLM, VideoLMProcessor
    from vlmkit.summary import ComposedSummary

__all__ = ["Run", "evaluate", "evaluation_costs", "load", "run", "train"]


@dataclass(frozen=True)
class Run:
    """The results of an experiment."""

    path: Path
    """The run folder."""
    model_path: Path | None
    """The trained model, for `VideoLM.from_pretrained`; None where the spec trains nothing."""
    results: dict[str, BenchmarkResult] = field(default_factory=dict)
    """The content of each benchmark's `result.json`, by name."""
    report_path: Path | None = None
    """The HTML page."""
    max_unscored_fraction: float = 1.0
    """Of answers, on which a judge may give no verdict."""

    def summary(self) -> str:
        """A few lines for a person; the last one says how much was skipped or unscored."""
        lines = [line for name, result in self.results.items() for line in _result_lines(name, result)]
        if self.model_path:
            lines.append(f"model:  {self.model_path}")
        if self.report_path:
            lines.append(f"report: {self.report_path}")
        skipped = sum(result.skipped for result in self.results.values())
        unscored = sum(result.unscored for result in self.results.values())
        folder = RunFolder(self.path)
        recorded = len(folder.bad_lines())
        if skipped or unscored or recorded:
            lines.append(
                f"{plural(recorded, 'sample')} could not be read ({folder.bad_samples}); "
                f"{plural(skipped, 'question')} skipped, {unscored} unscored"
            )
        return "\n".join(lines)

    def check(self) -> None:
        """Raise a DataError where a judge gave no verdict on too many answers: the scores are of the others alone."""
        if problems := unscored_problems(self.results, self.max_unscored_fraction):
            raise DataError("\n".join(problems))


def _result_lines(name: str, result: BenchmarkResult) -> list[str]:
    by = f", protocol {result.protocol}" if result.protocol else ""
    by += f", judge {result.judge}" if result.judge else ""
    by += f", by {result.harness.version}" if result.harness else ""
    lines = []
    for metric, found in result.metrics.items():
        low, high = found.ci95
        counted = plural(result.n, "document" if result.harness else "question")
        lines.append(f"{name} {metric} {found.value:.3f} (95% interval {low:.3f} to {high:.3f}), {counted}{by}")
    main = primary_metric(result.metrics)
    return [*lines, *(_control_line(control, main, result) for control in result.controls if main)]


def _control_line(control: Control, metric: str, result: BenchmarkResult) -> str:
    """Return what a control tells of a score. Results of earlier versions have no differences."""
    scores = result.controls[control]
    score, lost = scores.metrics.get(metric), scores.difference.get(metric)
    if score is None:
        return f"  control {control}: nothing is scored"
    if lost is None:
        return f"  control {control}: {score.value:.3f}"
    low, high = lost.ci95
    due = f"{lost.value:.3f} [{low:.3f}, {high:.3f}] are due to {DUE_TO[control]}"
    return f"  of {result.metrics[metric].value:.3f} {metric}, {due} (control {control}: {score.value:.3f})"


def run(spec: ExperimentSpec | str | Path, output: str | Path = "runs") -> Run:
    """Train, evaluate and report, whatever of it the spec asks for. Called again, it goes on where it stopped.

    Args:
        spec: a loaded spec, or the path of a spec file.
        output: the folder that holds the run folders.

    Raises:
        UserError: the spec, the data or the run folder is at fault.
    """
    exit_in_worker()
    spec = spec if isinstance(spec, ExperimentSpec) else load_spec(spec)
    if spec.training is None:
        return evaluate(spec, output)
    prepared = _prepare(spec)  # what the evaluation lacks should stop the run before hours of training, not after
    folder, composed = _open(spec, Path(output) / spec.name)
    with folder.observers.command(spec.model_dump(mode="json")):
        _train(spec, folder, composed)
        _wait_for_first(folder.model)
        return _measure(spec, folder, prepared)


def load(target: str | Path) -> tuple[VideoLM, VideoLMProcessor]:
    """Return a trained model and its processor, on the CPU and ready to answer.

    Args:
        target: the folder of a run, or of a saved or imported model.

    Raises:
        UserError: there is no model, it is damaged, or needs a plugin that is not installed.
    """
    from vlmkit.model import load as load_saved

    return load_saved(model_folder(target))


def train(spec: ExperimentSpec, output: str | Path = "runs") -> RunFolder:
    """All training stages; the trained model is the run folder's `model`."""
    exit_in_worker()
    if spec.training is None:
        raise SpecError(f"{spec.name}: this spec has no `training`, so there is nothing to train")
    folder, composed = _open(spec, Path(output) / spec.name)
    with folder.observers.command(spec.model_dump(mode="json")):
        _train(spec, folder, composed)
    return folder


def evaluate(
    target: ExperimentSpec | str | Path,
    output: str | Path = "runs",
    shard: str | None = None,
    *,
    benchmarks: Sequence[BenchmarkName] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 -- as the command line has it
    **options: Any,
) -> Run:
    """Measure a model on benchmarks: the trained one of a run, a saved one, or the one that a spec composes.

    Several processes of a launcher ask a share of the questions each, and so do launches on any machines that see the
    run folder, with a `shard` such as `3/16`. Those that are not the last to end have no results.

    Args:
        target: a spec or its file; a run folder, which takes the results; or the folder of a saved model, which knows
            its own spec.
        output: the folder that holds the run folders.
        shard: the share of the questions that this launch asks.
        benchmarks: names of benchmarks, or mappings with their options; they take the place of the spec's own.
        set: further values of the spec by dotted path, e.g. `{"evaluation.judge": "exact"}`.
        options: options of a benchmark (`limit`, `video_root`, `split`, …) for each of them.

    Raises:
        UserError: the target, a benchmark, its data or the run folder is at fault.
    """
    exit_in_worker()
    part = None if shard is None else EvaluationShard.parse(shard)
    spec, path = eval_target(target, output, benchmarks, options, set)
    run = RunFolder(path)
    if spec.training is not None and not run.model.is_dir():
        raise RunError(f"{run.model}: there is no trained model yet; run `vlmkit train` (or `vlmkit run`) first")
    prepared = _prepare(spec)  # first: what the benchmarks lack leaves no folder behind
    folder, composed = _open(spec, path)
    _wait_for_first(folder.spec_file)
    with folder.observers.command(spec.model_dump(mode="json")):
        return _measure(spec, folder, prepared, composed.model, part)


def evaluation_costs(
    target: ExperimentSpec | str | Path,
    output: str | Path = "runs",
    *,
    benchmarks: Sequence[BenchmarkName] | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 -- as the command line has it
    **options: Any,
) -> dict[str, str]:
    """Return, by name of the result, what `evaluate` with the same arguments asks the model and the judge, and what
    that costs. Nothing is asked, and no run folder is made."""
    from vlmkit.evaluation.dry_run import cost_of_evaluation
    from vlmkit.evaluation.questions import PreparedBenchmark

    spec, path = eval_target(target, output, benchmarks, options, set)
    run = RunFolder(path)
    told = "measured by another framework, without a judge"
    return {
        one.name: cost_of_evaluation(one, spec, run) if isinstance(one, PreparedBenchmark) else told
        for one in _prepare(spec)
    }


def _open(spec: ExperimentSpec, path: Path) -> tuple[RunFolder, ComposedSummary]:
    """Return the run folder, and what was composed for its model.json."""
    from vlmkit.summary import compose_and_summarize

    composed = compose_and_summarize(spec)  # first: what does not fit together leaves no folder behind
    folder = RunFolder.open_at(spec, path)
    if not rank():
        with folder.guarded():
            write_record(folder.composition_file, composed.summary.model_dump())
    return folder, composed


def _train(spec: ExperimentSpec, folder: RunFolder, composed: ComposedSummary) -> None:
    keep_freed_memory()
    from vlmkit.training.stages import train as train_stages

    train_stages(spec, folder, composed.plan)


def _prepare(spec: ExperimentSpec) -> list[PreparedBenchmark | PreparedTask]:
    if spec.evaluation is None:
        return []
    from vlmkit.evaluation import prepare_benchmarks

    return prepare_benchmarks(spec)


def _measure(
    spec: ExperimentSpec,
    folder: RunFolder,
    prepared: list[PreparedBenchmark | PreparedTask],
    on_meta: VideoLM | None = None,
    shard: EvaluationShard | None = None,
) -> Run:
    """Evaluate, if the spec asks for it, and report."""
    trained = folder.model if spec.training else None
    results: dict[str, BenchmarkResult] = {}
    if spec.evaluation is not None:
        keep_freed_memory()
        from vlmkit.evaluation import evaluate_benchmarks

        results = evaluate_benchmarks(spec, folder, prepared, on_meta=on_meta, shard=shard)
        if not results:  # another process has them
            return Run(folder.path, trained)
    if rank():
        return Run(folder.path, trained)
    from vlmkit.report import write_report

    most = spec.evaluation.max_unscored_fraction if spec.evaluation else 1.0
    return Run(folder.path, trained, results, write_report(folder.path, prepared), most)


def _wait_for_first(path: Path) -> None:
    """Wait, in every process but the first, for what that one writes; where it fails, the launcher ends this one."""
    while rank() and not path.exists():
        time.sleep(0.2)
