"""The questions of a benchmark, ready to be asked: how each is put, about which video, with which control."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.api.judge import JudgeSpec
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.entries import Benchmark, find_benchmark, find_videos
from vlmkit.benchmarks.locating import Annotations, check_counts, locate
from vlmkit.benchmarks.protocols import Rules, build_rules, check_prompts, without_video
from vlmkit.errors import DataError
from vlmkit.evaluation.answers import Question
from vlmkit.evaluation.controls import ARRANGEMENTS, Arrangement, other_clips, permute_options
from vlmkit.evaluation.fingerprint import question_fingerprint
from vlmkit.evaluation.harness_tasks import PreparedTask, prepare_task
from vlmkit.files import is_file
from vlmkit.spec.evaluation import BenchmarkUse, EvaluationSpec
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import Origins, origins
from vlmkit.spec.loading import read_component

__all__ = [
    "PreparedBenchmark", "QuestionSet", "answers_file", "judge_of", "own_questions",
    "prepare_benchmark", "prepare_benchmarks", "protocol_judge", "question_sets",
]  # fmt: skip


class PreparedBenchmark(NamedTuple):
    """One benchmark, ready to be asked."""

    name: str
    """Name of the result and of its folder in the run."""
    benchmark: Benchmark
    split: str
    rules: Rules
    documents: Sequence[Document]
    annotations: Annotations
    videos: Mapping[str, Path]
    """The file of each video that has one."""
    missing: Mapping[str, str]
    """Videos without a file, with the reason."""
    limit: int | None
    judge: JudgeSpec | None
    """The judge that the spec has for this benchmark alone."""
    origins: Origins
    """Of evaluator and dataset."""


class QuestionSet(NamedTuple):
    """Questions of which the answers are kept in one file, and scored together."""

    control: str
    """Name of the control; empty: the questions as they are."""
    questions: Sequence[Question]

    @property
    def file(self) -> str:
        """Name of that file in the folder of the benchmark."""
        return answers_file(self.control)


def answers_file(control: str = "") -> str:
    """Return the name of the file with the answers of a control, or with those to the questions as they are."""
    return f"{control}_predictions.jsonl" if control else "predictions.jsonl"


def prepare_benchmarks(spec: ExperimentSpec) -> list[PreparedBenchmark | PreparedTask]:
    """Prepare all benchmarks of a spec: find and verify entries, splits, annotations and videos, draw clips; of other
    frameworks, their tasks and data sets.

    Worth calling before a long training: what is missing is a DataError here.
    """
    options = spec.evaluation
    if options is None:
        return []
    prepared = [
        prepare_task(use) if use.harness else prepare_benchmark(use, options.benchmarks_path)
        for use in options.benchmarks
    ]
    for benchmark in prepared:
        if isinstance(benchmark, PreparedTask):
            continue
        _check_missing(benchmark, spec.data.max_bad_fraction)
        if "other-video" in options.controls:
            other_clips(benchmark.videos, seed=spec.seed)
        if judge := judge_of(options, benchmark):
            judge.build()
    return prepared


def prepare_benchmark(use: BenchmarkUse, more: Sequence[str] = ()) -> PreparedBenchmark:
    """Prepare one benchmark of a spec, whose entry may lie in `more` folders of entries.

    A DataError where something is missing or not what the registry says.
    """
    benchmark = find_benchmark(use.name, more)
    split_name, _ = benchmark.split(use.split)
    annotations = locate(use, benchmark, split_name)
    rules = build_rules(benchmark.protocol(use.protocol), benchmark.folder)
    documents: Sequence[Document] = read_documents(annotations.files, benchmark.annotation_options(split_name))
    check_counts(use, benchmark, split_name, annotations, documents)
    documents = _first(documents, use.limit)
    check_prompts(use.name, rules, documents, ", ".join(map(str, annotations.files)))
    videos, missing = find_videos(use, benchmark, annotations.video_root, [document.video for document in documents])
    made_of = rules.origins | origins(annotations.dataset)
    return PreparedBenchmark(
        use.result_name,
        benchmark,
        split_name,
        rules,
        documents,
        annotations,
        videos,
        missing,
        use.limit,
        use.judge,
        made_of,
    )


def _first(documents: Sequence[Document], limit: int | None) -> Sequence[Document]:
    """Return the first so many questions, without those that are judged together with one which is not among them."""
    chosen = documents[:limit]
    ids = {document.id for document in chosen}
    return [document for document in chosen if not document.companion or document.companion in ids]


def _check_missing(benchmark: PreparedBenchmark, max_fraction: float) -> None:
    absent, total = len(benchmark.missing), len(benchmark.missing) + len(benchmark.videos)
    if absent > max_fraction * total:
        first = next(iter(benchmark.missing.values()))
        raise DataError(
            f"{benchmark.name}: {absent} of {total} videos have no file, more than data.max_bad_fraction = "
            f"{max_fraction:g} allows; the first: {first}. Add them, correct `video_root` or `video_file`, or "
            "raise data.max_bad_fraction"
        )


def judge_of(options: EvaluationSpec | None, benchmark: PreparedBenchmark) -> JudgeSpec | None:
    """Return the judge of a benchmark; None where rules alone decide.

    That of the benchmark in the spec, or else of the whole evaluation, or of the protocol, or else `exact`.
    """
    if not benchmark.rules.judged:
        return None
    return benchmark.judge or (options and options.judge) or protocol_judge(benchmark.rules, benchmark.benchmark.folder)


def protocol_judge(rules: Rules, entry: Path) -> JudgeSpec:
    """Return the judge of a protocol, or else `exact`; `entry` is the folder of its benchmark."""
    judge = read_component("judge", rules.protocol.judge or {"type": "exact"}, f"{entry}, `judge`")
    assert isinstance(judge, JudgeSpec)
    return judge


def question_sets(benchmark: PreparedBenchmark, spec: ExperimentSpec, shared: str) -> list[QuestionSet]:
    """Return the questions of a benchmark and those of the controls that the spec wants.

    `shared` is what all answers depend on, see `vlmkit.evaluation.fingerprint`.
    """
    controls = spec.evaluation.controls if spec.evaluation is not None else []
    longest = spec.evaluation.max_new_tokens if spec.evaluation is not None else None
    own = QuestionSet("", own_questions(benchmark, shared, longest))
    return [own, *(QuestionSet(name, _changed(own.questions, name, benchmark, spec.seed, shared)) for name in controls)]


def own_questions(benchmark: PreparedBenchmark, shared: str = "", max_new_tokens: int | None = None) -> list[Question]:
    """Return each question about its own video. `max_new_tokens` takes the place of the protocol's."""
    questions = []
    for document in benchmark.documents:
        prompt = benchmark.rules.prompt(document)
        longest = max_new_tokens or benchmark.rules.of(document).max_new_tokens
        continuations = tuple(benchmark.rules.of(document).evaluator.continuations(document))
        question = Question(document, prompt, "", None, "", "", longest, continuations=continuations)
        questions.append(_about(question, document.video, benchmark, shared))
    return questions


def _about(question: Question, video: str, benchmark: PreparedBenchmark, shared: str) -> Question:
    """Return the same question about the video of this name."""
    path, problem = benchmark.videos.get(video), benchmark.missing.get(video, "")
    if path is not None and not is_file(path):  # it went while the model was trained
        path, problem = None, f"{path} is gone"
    return _marked(replace(question, shown=video, path=path, problem=problem), shared)


def _marked(question: Question, shared: str) -> Question:
    return replace(question, fingerprint=question_fingerprint(question, shared))


def _changed(
    questions: Sequence[Question], control: str, benchmark: PreparedBenchmark, seed: int, shared: str
) -> list[Question]:
    """Return the questions as a control puts them."""
    if control == "other-video":
        others = other_clips(benchmark.videos, seed)  # a video that is missing has none: it is skipped here too
        return [_about(one, others.get(one.shown, one.shown), benchmark, shared) for one in questions]
    if control in ARRANGEMENTS:
        arranged = (replace(one, arrangement=Arrangement(control, seed, one.shown)) for one in questions)
        return [_marked(one, shared) for one in arranged]
    changed = []
    for one in questions:
        document = permute_options(one.document, seed) if control == "permuted-options" else one.document
        prompt = benchmark.rules.prompt(document)
        continuations = tuple(benchmark.rules.of(document).evaluator.continuations(document))
        other = replace(one, document=document, prompt=prompt, continuations=continuations)
        if control == "no-video" and not one.problem:
            other = replace(other, prompt=without_video(prompt), shown="", path=None)
        changed.append(_marked(other, shared))
    return changed
