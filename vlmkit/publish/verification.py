"""Verifying a capsule: its questions are asked again here, and the first stage is named that gives something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.api.judge import JudgeSpec, Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.benchmarks.entries import benchmark_folders, find_benchmark
from vlmkit.errors import CheckpointError, DataError, UserError
from vlmkit.evaluation.answer_model import LoadedModel
from vlmkit.evaluation.answers import Question
from vlmkit.evaluation.questions import PreparedBenchmark, prepare_benchmark
from vlmkit.progress import Progress
from vlmkit.publish.capsule_record import (
    STAGES,
    AnswerOutput,
    CapsuleBenchmark,
    CapsuleQuestion,
    Stage,
    StageOutput,
    read_capsule,
)
from vlmkit.publish.provenance import changed_files, environment_differences, environment_of
from vlmkit.publish.replay import Replay, exact_convolutions, find_judge, open_model, verdicts_of
from vlmkit.publish.stage_differences import stage_difference
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.loading import read_component

__all__ = ["MEANING", "ReplayedQuestion", "Verification", "verify"]

MEANING: Mapping[str, str] = {
    "environment": "Other versions, or another machine: no fault as long as all stages give the same; where one does "
    "not, install the versions of the capsule before you look further.",
    "model": "The files beside the capsule are not those that it was made with: download the folder again or, if the "
    "model was changed on purpose, write a new capsule.",
    "video": "The video is missing, or is another file (cut, encoded anew, another download): get the one with the "
    "capsule's sha256; what follows says nothing of the model.",
    "frames": "Of the same file other frames were chosen, or decoded to other pixels: compare the versions of av and "
    "decord, the reader and the sampling in processor_config.json, and the protocol's `frames`.",
    "pixels": "The same frames were fitted in another way: compare the version of Pillow, and size, fit and multiple "
    "of `input` in processor_config.json.",
    "visual_tokens": "The aligner makes something else of the same pixels: its weights, its options or its type of "
    "numbers (dtype) are others, or the device computes less exactly.",
    "prompt": "The question is put in other words, or in other tokens: compare annotations, protocol and the version "
    "of the benchmark's entry, then the chat template and the tokenizer of the model.",
    "answer": "From the same tokens the language model answers otherwise: its weights, its type of numbers (dtype) or "
    "its attention are others; where the lead of a token was tiny, another machine is enough.",
    "verdict": "The same answer is read, judged or scored otherwise: compare the versions of the protocol, of its "
    "evaluator and of the judge.",
}
"""By stage, in a sentence, what a difference usually means and what to do."""


@dataclass(frozen=True)
class ReplayedQuestion:
    """A question of a capsule, asked again."""

    benchmark: str
    id: str
    differences: Mapping[Stage, str]
    """In words, by the stage that gives something else."""
    reached: int
    """How many stages gave something."""

    @property
    def first(self) -> Stage | None:
        """The first stage that differs; None where none does."""
        return next((stage for stage in STAGES if stage in self.differences), None)


@dataclass(frozen=True)
class Verification:
    """The outcome of verifying a capsule."""

    run: str
    environment: Sequence[str]
    """Where this environment differs from that of the capsule, which alone is no fault."""
    model: Sequence[str]
    """Files of the model that are others."""
    unusable: str
    """Why the model could not be loaded, and nothing be asked; or empty."""
    questions: Sequence[ReplayedQuestion]
    expected: int
    """How many questions the capsule has."""
    unlike_run: int
    """To how many of them the evaluation, which asks in batches, got another answer when the capsule was made."""

    @property
    def first(self) -> str | None:
        """The first of `model` and the stages that differs anywhere; None where all hold."""
        if self.model or self.unusable:
            return "model"
        return next((stage for stage in STAGES if any(one.first == stage for one in self.questions)), None)

    @property
    def holds(self) -> bool:
        """True where the model and all stages of all questions are as the capsule has them."""
        return self.first is None

    def counts(self) -> dict[Stage, int]:
        """Return of how many questions each stage is the first that differs."""
        return {stage: sum(one.first == stage for one in self.questions) for stage in STAGES}

    def data(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "holds": self.holds,
            "first": self.first,
            "meaning": self.first and MEANING[self.first],
            "run": self.run,
            "environment": list(self.environment),
            "model": list(self.model),
            "unusable": self.unusable,
            "expected": self.expected,
            "unlike_run": self.unlike_run,
            "first_by_stage": self.counts(),
            "questions": [
                {"benchmark": one.benchmark, "id": one.id, "first": one.first, "differences": dict(one.differences)}
                for one in self.questions
            ],
        }


class _Attempt(NamedTuple):
    kept: CapsuleQuestion
    question: Question
    given: dict[Stage, StageOutput]
    problem: str
    """Why the next stage gave nothing."""


def verify(
    place: str | Path,
    *,
    video_root: str | None = None,
    annotation_root: str | None = None,
    benchmarks_path: Sequence[str] = (),
    judge: str | dict[str, Any] | None = None,
) -> Verification:
    """Ask the questions of a capsule of the model beside it, and compare what each stage gives.

    Args:
        place: the folder of the model, or its capsule.json.
        video_root: folder of the videos of benchmarks that do not draw their own, as in an evaluation.
        annotation_root: folder of their annotation files, likewise.
        benchmarks_path: further folders of entries.
        judge: a judge to ask anew, by name or with its options; None: judges that decide by rules are asked, the
            verdicts of the others are those of the capsule, and nothing is paid.

    Raises:
        UserError: there is no capsule, it is damaged, or the questions of a benchmark are not here.
    """
    capsule, folder = read_capsule(place)
    asked: Any = None if judge is None else read_component("judge", judge, "--judge")
    changed = changed_files(capsule.model, folder)
    prepared = [_prepare(benchmark, video_root, annotation_root, benchmarks_path) for benchmark in capsule.benchmarks]
    try:
        model = open_model(folder)
    except CheckpointError as error:
        if not changed:
            raise
        return Verification(
            run=capsule.run,
            environment=[],
            model=changed,
            unusable=str(error),
            questions=[],
            expected=capsule.count,
            unlike_run=0,
        )
    differences = environment_differences(capsule.environment, environment_of())
    differences += [
        f"{one.result}: protocol {one.protocol} in the capsule, {here.rules.protocol.label} here"
        for one, here in zip(capsule.benchmarks, prepared, strict=True)
        if one.protocol != here.rules.protocol.label
    ]
    with Progress("verify", capsule.count) as progress, exact_convolutions():
        questions = [
            one
            for benchmark, here in zip(capsule.benchmarks, prepared, strict=True)
            for one in _replayed(benchmark, here, model, asked, progress)
        ]
    return Verification(
        run=capsule.run,
        environment=differences,
        model=changed,
        unusable="",
        questions=questions,
        expected=capsule.count,
        unlike_run=capsule.unlike_run,
    )


def _prepare(
    benchmark: CapsuleBenchmark, video_root: str | None, annotation_root: str | None, more: Sequence[str]
) -> PreparedBenchmark:
    """Find the questions of a benchmark here. A DataError where something is missing or has changed."""
    use = dict(benchmark.use)
    if use["name"] not in benchmark_folders(more):
        raise DataError(
            f"{benchmark.result}: the capsule asks questions of the benchmark {use['name']!r}, which is not among "
            "those here; give --benchmarks-path FOLDER with its entry, as whoever made the capsule has it, and "
            "--video-root"
        )
    entry = find_benchmark(use["name"], more)
    _, split = entry.split(use.get("split"))
    if split.dataset is None:
        use["video_root"] = video_root
        if own := use.get("annotations"):
            if annotation_root is None:
                raise DataError(
                    f"{benchmark.result}: set --annotation-root to the folder that holds {own[0]['path']}, which is a "
                    "file of whoever made this capsule"
                )
            use["annotations"] = [{**file, "path": str(Path(annotation_root, file["path"]))} for file in own]
        else:
            use["annotation_root"] = annotation_root
    return prepare_benchmark(BenchmarkUse.model_validate(use), more)


def _replayed(
    benchmark: CapsuleBenchmark,
    prepared: PreparedBenchmark,
    model: LoadedModel,
    judge: JudgeSpec | None,
    progress: Progress,
) -> Iterator[ReplayedQuestion]:
    """Ask the questions of a benchmark, and yield what became of each."""
    replay = Replay(model, prepared, benchmark.max_new_tokens)
    documents = {document.id: document for document in prepared.documents}
    attempts = []
    for kept in benchmark.questions:
        if kept.id not in documents:
            raise DataError(
                f"{benchmark.result}: the capsule asks question {kept.id!r}, which is not among the "
                f"{len(documents):,} questions here; use the annotation files and the entry that it was made with"
            )
        attempts.append(_attempt(replay, kept, replay.question(documents[kept.id])))
        progress.advance()
    known = {
        one.verdict.request: Verdict(one.verdict.correct, one.verdict.score)
        for one in benchmark.questions
        if one.verdict.request and not one.verdict.correct is one.verdict.score is None
    }

    def find(request: JudgeRequest) -> Verdict | None:
        return known.get(request.sha256)

    ask = verdicts_of(judge) if judge is not None else find_judge(benchmark.judge, find)
    answered = [(one.question, said) for one in attempts if isinstance(said := one.given.get("answer"), AnswerOutput)]
    verdicts = replay.verdicts(answered, benchmark.judge, ask)
    for one in attempts:
        given = {**one.given, "verdict": verdicts[one.kept.id]} if one.kept.id in verdicts else one.given
        yield _compared(benchmark.result, one, given)


def _attempt(replay: Replay, kept: CapsuleQuestion, question: Question) -> _Attempt:
    given: dict[Stage, StageOutput] = {}
    stages = replay.stages(question)
    try:
        for stage in STAGES[:-1]:
            given[stage] = next(stages)
    except UserError as error:
        return _Attempt(kept, question, given, str(error))
    return _Attempt(kept, question, given, "")


def _compared(benchmark: str, attempt: _Attempt, given: Mapping[Stage, StageOutput]) -> ReplayedQuestion:
    kept, dtype = attempt.kept, attempt.kept.visual_tokens.dtype
    differences = {
        stage: text for stage, one in given.items() if (text := stage_difference(stage, kept.output(stage), one, dtype))
    }
    if attempt.problem:
        differences[STAGES[len(attempt.given)]] = attempt.problem
    return ReplayedQuestion(benchmark, kept.id, differences, len(given))
