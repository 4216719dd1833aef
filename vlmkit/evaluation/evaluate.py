"""The benchmarks of an experiment on the model of its run: select, ask, judge, score, write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlmkit.api.judge import JudgeSpec
from vlmkit.errors import SpecError
from vlmkit.evaluation.answer_model import AnswerModel, FunctionModel, GenerateBatch, LoadedModel
from vlmkit.evaluation.answers import AnswerFile
from vlmkit.evaluation.asking import answer_shards, ask_questions, shards_here
from vlmkit.evaluation.fingerprint import conditions_of, model_sha256, shared_fingerprint
from vlmkit.evaluation.generate import AskedQuestion
from vlmkit.evaluation.harness_tasks import PreparedTask, finished_task, measure_task, task_conditions
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.measured import announce, expect_result, keep_result, score_controls, tell_cost
from vlmkit.evaluation.questions import PreparedBenchmark, QuestionSet, judge_of, prepare_benchmarks, question_sets
from vlmkit.evaluation.records import BenchmarkResult, Conditions, Decoding, read_result, release_answers
from vlmkit.evaluation.saved_model import saved_model_of
from vlmkit.evaluation.shards import EvaluationShard, QuestionsOfFile, gather_shards
from vlmkit.files import write_atomic
from vlmkit.json_files import is_present, json_line
from vlmkit.run_folder import RunBusyError, RunFolder
from vlmkit.runtime import local_rank
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import read_component, sha256

if TYPE_CHECKING:
    from vlmkit.model import VideoLM

__all__ = ["evaluate_benchmarks", "load_model", "questions_of_files"]


def evaluate_benchmarks(
    spec: ExperimentSpec,
    run: RunFolder,
    prepared: Sequence[PreparedBenchmark | PreparedTask] | None = None,
    generate: GenerateBatch | None = None,
    on_meta: VideoLM | None = None,
    shard: EvaluationShard | None = None,
) -> dict[str, BenchmarkResult]:
    """Measure the run's model on each benchmark of the spec. Called again, it asks only what has no answer yet.

    Several processes of a launcher, or with a `shard` several launches, ask a share of the questions each. The first
    process of a launch that finds all of them answered goes on; for the others there is no result yet.

    Args:
        spec: the experiment, with an `evaluation`.
        run: its run folder; answers, verdicts and results go to `eval/BENCHMARK/`.
        prepared: what `prepare_benchmarks` gives for the spec; None: that is done here.
        generate: the model; None: that of `load_model`, which is called once the first question comes.
        on_meta: the spec's model on the meta device, where it was composed already.
        shard: the share of the questions that this launch asks; None: all of them.

    Returns:
        The content of each `result.json`, by the name of the result; nothing where another process gives them.

    Raises:
        UserError: benchmark, split, annotations or videos are missing or changed, too many videos are unreadable, or
            another process works on the run.
    """
    if spec.evaluation is None:
        raise SpecError(f"{spec.name}: this spec has no `evaluation`, so there is nothing to measure")
    prepared = prepare_benchmarks(spec) if prepared is None else prepared
    model = FunctionModel(generate) if generate else LoadedModel(lambda: load_model(spec, run, on_meta))
    from vlmkit.model.config import refuse_code

    if shards := shards_here(shard):
        refuse_code(run.model)
        run.check_model(spec)
        digest = model_sha256(spec, run)
        asked = [benchmark for benchmark in prepared if isinstance(benchmark, PreparedBenchmark)]
        files = {benchmark.name: questions_of_files(benchmark, spec, run, digest) for benchmark in asked}
        if not answer_shards(files, shards, model, spec, run):
            return {}
    try:
        with run.locked():
            refuse_code(run.model)
            run.check_model(spec)  # a damaged one must not take the place of a result that stands
            digest = model_sha256(spec, run)
            return {benchmark.name: _evaluate(benchmark, spec, run, digest, model) for benchmark in prepared}
    except RunBusyError:
        if shards:  # the last two have ended at once, and the other one goes on
            return {}
        raise


def load_model(spec: ExperimentSpec, run: RunFolder, on_meta: VideoLM | None = None) -> tuple[Any, Any]:
    """Return a saved model with its processor, as `saved_model_of` says, or else the composed ones."""
    import torch

    from vlmkit.model import compose, load
    from vlmkit.model.pretrained import without_progress_bars

    with without_progress_bars():
        if (saved := saved_model_of(spec, run)) is not None:
            model, processor = load(saved)
        else:
            model, processor = compose(spec.model, seed=spec.seed, reader=spec.data.reader, on_meta=on_meta)
    device = f"cuda:{local_rank() % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    return model.to(device), processor


def _evaluate(
    benchmark: PreparedBenchmark | PreparedTask, spec: ExperimentSpec, run: RunFolder, digest: str, model: AnswerModel
) -> BenchmarkResult:
    """Measure one benchmark, unless its result is there, and tell the observers that have not heard of it."""
    assert spec.evaluation is not None
    options, folder = spec.evaluation, run.evaluation(benchmark.name)
    if isinstance(benchmark, PreparedTask):
        conditions = task_conditions(benchmark, spec, digest)
        result = finished_task(folder / "result.json", conditions, spec)
        measure = partial(measure_task, benchmark, conditions, spec, folder, model)
    else:
        decoding = _decoding(benchmark, spec)
        sets = question_sets(benchmark, spec, shared_fingerprint(spec, digest, decoding))
        judge = judge_of(options, benchmark)
        conditions = conditions_of(spec, benchmark, sets, judge, digest, decoding)
        result = _finished(folder / "result.json", conditions, sha256(spec))
        measure = partial(_measure, benchmark, sets, judge, conditions, spec, run, model)

    if result is None:
        expect_result(folder, run.observers)
        run.observers.tell("evaluation_started", benchmark=benchmark.name)
        with run.observers.failing("evaluation_failed", benchmark=benchmark.name):
            result = measure()
    announce(folder, result, run.observers)
    return result


def _decoding(benchmark: PreparedBenchmark, spec: ExperimentSpec) -> Decoding:
    assert spec.evaluation is not None
    longest = spec.evaluation.max_new_tokens or benchmark.rules.base.max_new_tokens
    shown = spec.model.aligner.input
    if benchmark.rules.protocol.frames is not None:
        sampler = read_component("sampler", benchmark.rules.protocol.frames, f"{benchmark.benchmark.folder}, `frames`")
        shown = shown.sampled_by(sampler.model_dump(mode="json"))
    return Decoding(
        greedy=True,
        max_new_tokens=longest,
        batch_size=spec.evaluation.batch_size,
        frames=shown.frames,
        sampling=shown.model_dump(mode="json")["sampling"],
    )


def questions_of_files(
    benchmark: PreparedBenchmark, spec: ExperimentSpec, run: RunFolder, digest: str
) -> tuple[list[QuestionsOfFile], Decoding]:
    """Return the questions of a benchmark and of its controls, each with the file of the answers, and how they are
    generated. `digest` is that of `model_sha256`."""
    decoding = _decoding(benchmark, spec)
    sets = question_sets(benchmark, spec, shared_fingerprint(spec, digest, decoding))
    return [(some.questions, run.evaluation(benchmark.name) / some.file) for some in sets], decoding


def _finished(path: Path, conditions: Conditions, spec_sha256: str) -> BenchmarkResult | None:
    """Return the result of the same spec and conditions, unless some questions are to be asked or judged again."""
    if not is_present(path):
        return None
    result = read_result(path)
    again = any(part.skipped or part.unscored for part in (result, *result.controls.values()))
    same = result.model_dump(include=set(Conditions.model_fields)) == conditions.model_dump()
    return result if same and not again and result.spec_sha256 == spec_sha256 else None


def _measure(
    benchmark: PreparedBenchmark,
    sets: Sequence[QuestionSet],
    judge: JudgeSpec | None,
    conditions: Conditions,
    spec: ExperimentSpec,
    run: RunFolder,
    model: AnswerModel,
) -> BenchmarkResult:
    """Ask, judge and score one benchmark; result.json is written last. Continues where an earlier call stopped."""
    started, folder = time.monotonic(), run.evaluation(benchmark.name)
    assert conditions.decoding is not None
    _forget_unreadable(run, benchmark.name)
    release_answers(folder / "result.json")
    answered = [(some.questions, AnswerFile(folder / some.file)) for some in sets]
    gather_shards(answered)
    asked = [AskedQuestion(question, file) for questions, file in answered for question in questions]
    ask_questions(asked, benchmark.name, model, conditions.decoding, spec, run)
    for questions, file in answered:
        file.rewrite(questions)
    with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
        judge_all = store.judging(conditions.judge, judge.build() if judge else None, tell_cost)
        answers = {some.control: list(file.answers.values()) for some, (_, file) in zip(sets, answered, strict=True)}
        scores = score_controls(answers, benchmark.benchmark, benchmark.rules, judge_all)
    files, seconds = [file.path for _, file in answered], time.monotonic() - started
    return keep_result(folder, conditions, scores, files, seconds, sha256(spec))


def _forget_unreadable(run: RunFolder, where: str) -> None:
    """Remove the lines of one benchmark: what is still unreadable is met, and written down, again."""
    lines = run.bad_lines()
    kept = [line for line in lines if line.where != where]
    if len(kept) < len(lines):
        write_atomic(run.bad_samples, "".join(json_line(line.model_dump()) for line in kept))
