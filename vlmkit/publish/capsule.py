"""Capsules: what each stage gave for some of a run's questions, so that anybody can find where theirs differs."""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.api.judge import Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.benchmarks.entries import benchmark_folders
from vlmkit.errors import RunError, UserError
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.questions import PreparedBenchmark, judge_of, prepare_benchmark
from vlmkit.evaluation.records import BenchmarkResult, read_result
from vlmkit.evaluation.rescoring import read_scored
from vlmkit.evaluation.scores import ScoredAnswer
from vlmkit.files import expand_path
from vlmkit.json_files import is_present
from vlmkit.progress import Progress
from vlmkit.publish.capsule_record import (
    STAGES,
    Capsule,
    CapsuleBenchmark,
    CapsuleJudge,
    CapsuleQuestion,
    Stage,
    save_capsule,
    without_texts,
)
from vlmkit.publish.portable import portable
from vlmkit.publish.provenance import environment_of, model_files
from vlmkit.publish.question_sample import AnsweredQuestion, sample_questions
from vlmkit.publish.replay import Replay, exact_convolutions, find_judge, open_model
from vlmkit.run_folder import RunFolder
from vlmkit.spec.evaluation import BenchmarkUse, EvaluationSpec

__all__ = ["is_open", "write_capsule"]

_OPEN = re.compile(r"\b(?:Apache-2\.0|BSD|MIT|CC0|CC BY(?:-SA)? \d)")
_ASKED = {"name", "label", "split", "protocol", "video_file", "extensions"}
"""Options of a benchmark that say what is asked, and not where it lies."""
_NOT_ASKED = ("skipped", "companion")
"""Outcomes of questions that were not answered, or are judged with another one, with which they are drawn."""


class _MeasuredBenchmark(NamedTuple):
    use: BenchmarkUse
    prepared: PreparedBenchmark
    result: BenchmarkResult
    scored: Mapping[str, ScoredAnswer]
    """By the id of the question."""
    options: EvaluationSpec
    folder: Path
    """`eval/NAME` of the run."""


def write_capsule(run: Path, folder: Path, *, questions: int = 16, seed: int = 0, texts: bool = False) -> Path:
    """Write capsule.json beside a model, and return its path.

    Some of the questions that the run has answered are asked again of the model in `folder`, one at a time, and what
    each stage gives is noted. No path of this machine is.

    Args:
        run: the run folder, with results of benchmarks of the registry.
        folder: the folder that the model was exported to.
        questions: how many, of all benchmarks, question types and outcomes; those that are judged together with one of
            them come along.
        seed: which.
        texts: also keep prompts and answers themselves, of benchmarks whose annotations have an open license.

    Raises:
        UserError: the folder is the run's own, there is no result, no benchmark has its files on this machine any
            more, or the model cannot be loaded.
    """
    home, folder = RunFolder(run), expand_path(folder)
    if folder.resolve().is_relative_to(home.path.resolve()):
        raise RunError(
            f"{folder}: expected the folder of an exported model, found one within the run, whose files stay as they "
            f"are; write the capsule with `vlmkit export {run} DST --capsule`"
        )
    spec = home.spec()
    measured = _measured(home, spec.evaluation)
    chosen = sample_questions([one for some in measured.values() for one in _candidates(some)], questions, seed)
    ids: dict[str, list[str]] = defaultdict(list)
    for one in chosen:
        ids[one.benchmark].append(one.id)
    model = open_model(folder)
    with Progress("capsule", len(chosen)) as progress, exact_convolutions():
        benchmarks = [_benchmark(measured[name], ids[name], model, texts, progress) for name in measured if ids[name]]
    capsule = Capsule(
        capsule=1,
        run=spec.name,
        seed=seed,
        environment=environment_of(),
        model=model_files(folder),
        benchmarks=benchmarks,
    )
    return save_capsule(capsule, folder)


def is_open(license_text: str) -> bool:
    """Return whether the license of an entry lets its annotations be given to others; its first part is about them."""
    return _OPEN.search(license_text.partition(";")[0]) is not None


def _measured(run: RunFolder, options: EvaluationSpec | None) -> dict[str, _MeasuredBenchmark]:
    """Return the results of a run whose questions can be asked here, by name, and say on stderr which cannot."""
    uses = [use for use in (options.benchmarks if options else ()) if use.harness is None]
    done = [use for use in uses if is_present(run.evaluation(use.result_name) / "result.json")]
    if options is None or not done:
        raise RunError(
            f"{run.path}: expected answers to a benchmark of the registry, of which a capsule shows some; found none; "
            "run `vlmkit eval` first"
        )
    found, problems = {}, []
    for use in done:
        place = run.evaluation(use.result_name)
        try:
            prepared = prepare_benchmark(use, options.benchmarks_path)
        except UserError as error:
            problems.append(str(error))
            continue
        scored = {one.document.id: one for one in read_scored(place, more=options.benchmarks_path)}
        found[use.result_name] = _MeasuredBenchmark(
            use, prepared, read_result(place / "result.json"), scored, options, place
        )
    named = {use.result_name for use in done}
    for place in sorted(run.path.glob("eval/*/result.json")):
        if place.parent.name not in named and read_result(place).harness is None:
            problems.append(
                f"{place.parent.name}: the last `vlmkit eval` of this run did not name it; name all of them, with "
                "--benchmark each: answers that are there are kept"
            )
    if not found:
        raise RunError(f"{run.path}: a capsule asks questions again, but none can be:\n" + "\n".join(problems))
    for problem in problems:
        print(f"capsule: a benchmark is left out: {problem}", file=sys.stderr)
    shipped = benchmark_folders()
    if own := [name for name, one in found.items() if one.use.name not in shipped]:
        print(
            f"capsule: it asks questions of {', '.join(own)}, which vlmkit does not come with: whoever verifies it "
            "needs the entry too (--benchmarks-path)",
            file=sys.stderr,
        )
    return found


def _candidates(measured: _MeasuredBenchmark) -> list[AnsweredQuestion]:
    """Return the answered questions that can be asked again: their video is there."""
    prepared = measured.prepared
    found = []
    for document in prepared.documents:
        one = measured.scored.get(document.id)
        if one is not None and one.outcome not in _NOT_ASKED and document.video in prepared.videos:
            outcome = one.outcome if one.is_right is None else "right" if one.is_right else "wrong"
            found.append(AnsweredQuestion(prepared.name, document.type, outcome, document.id))
    return found


def _benchmark(
    measured: _MeasuredBenchmark, ids: Sequence[str], model: LoadedModel, texts: bool, progress: Progress
) -> CapsuleBenchmark:
    """Ask some questions of a benchmark, and those that are judged together with them."""
    prepared, longest = measured.prepared, measured.options.max_new_tokens
    replay = Replay(model, prepared, longest)
    documents = {document.id: document for document in prepared.documents}
    companions = [documents[key].companion for key in ids if documents[key].companion]
    questions = [replay.question(documents[key]) for key in dict.fromkeys([*ids, *companions])]
    given: list[dict[Stage, Any]] = []
    for question in questions:
        given.append(dict(zip(STAGES, replay.stages(question), strict=False)))
        progress.advance()
    judge = _judge(measured)
    with closing(VerdictStore(measured.folder / "verdicts.sqlite", read_only=True)) as store:

        def find(request: JudgeRequest) -> Verdict | None:
            said = judge and store.find(judge.name, judge.version, request)
            return said if isinstance(said, Verdict) else None

        answered = [(question, stages["answer"]) for question, stages in zip(questions, given, strict=True)]
        verdicts = replay.verdicts(answered, judge, find_judge(judge, find))
    shown = texts and is_open(prepared.benchmark.license)
    kept = []
    for question, stages in zip(questions, given, strict=True):
        key = question.document.id
        as_in_run = stages["answer"].answer.text == measured.scored[key].answer.prediction
        values: dict[str, Any] = {stage: one if shown else without_texts(one) for stage, one in stages.items()}
        kept.append(CapsuleQuestion(id=key, **values, verdict=verdicts[key], as_in_run=as_in_run))
    return CapsuleBenchmark(
        result=prepared.name,
        use=_portable(measured.use, measured.result),
        version=measured.result.version,
        protocol=measured.result.protocol,
        license=prepared.benchmark.license,
        max_new_tokens=longest,
        judge=judge,
        questions=kept,
    )


def _judge(measured: _MeasuredBenchmark) -> CapsuleJudge | None:
    """Return the judge of a result, with its options where it is that of the spec and decides by rules."""
    said = measured.result.judge
    if said is None:
        return None
    own = judge_of(measured.options, measured.prepared)
    by_rules = own is not None and own.type == said.name and not said.prompts
    return CapsuleJudge(**dict(said), rules=own.model_dump(mode="json") if own and by_rules else None)


def _portable(use: BenchmarkUse, result: BenchmarkResult) -> dict[str, Any]:
    """Return a benchmark as a spec names it, without paths: whoever has the files says where they are."""
    said = use.model_dump(mode="json", exclude_none=True, include=_ASKED)
    if use.dataset:
        said["dataset"] = {key: value for key, value in use.dataset.items() if portable(value) == value}
    if use.annotations and result.annotations:
        files = result.annotations.files or []
        said["annotations"] = [{"path": Path(file.path).name, "sha256": file.sha256} for file in files]
    return said
