"""The questions of a benchmark, ready to be asked, and who is shown which video.

A control changes the video that is shown: the blind one asks each question about another clip's video.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.errors import DataError
from vlmkit.evaluation.benchmarks import Benchmark, find_benchmark, find_videos
from vlmkit.evaluation.fingerprint import question_fingerprint
from vlmkit.evaluation.locating import Annotations, check_counts, locate
from vlmkit.evaluation.protocols import Rules, build_rules
from vlmkit.evaluation.records import Question
from vlmkit.files import is_file
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import Origins, origins

__all__ = [
    "PreparedBenchmark", "QuestionSet", "other_clips", "own_questions", "prepare_benchmark",
    "prepare_benchmarks", "question_sets",
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
    origins: Origins
    """Of evaluator and dataset."""


class QuestionSet(NamedTuple):
    """Questions of which the answers are kept in one file, and scored together."""

    file: str
    """Name of that file in the folder of the benchmark."""
    questions: Sequence[Question]


def prepare_benchmarks(spec: ExperimentSpec) -> list[PreparedBenchmark]:
    """Prepare all benchmarks of a spec: find and verify entries, splits, annotations and videos, draw clips.

    Worth calling before a long training: what is missing is a DataError here.
    """
    options = spec.evaluation
    if options is None:
        return []
    options.judge.build()
    prepared = [prepare_benchmark(use, options.benchmarks_path) for use in options.benchmarks]
    for benchmark in prepared:
        _check_missing(benchmark, spec.data.max_bad_fraction)
        if options.blind:
            other_clips(benchmark.videos, seed=spec.seed)
    return prepared


def prepare_benchmark(use: BenchmarkUse, more: Sequence[str] = ()) -> PreparedBenchmark:
    """Prepare one benchmark of a spec, whose entry may lie in `more` folders of entries.

    A DataError where something is missing or not what the registry says.
    """
    benchmark = find_benchmark(use.name, more)
    split_name, _ = benchmark.split(use.split)
    annotations = locate(use, benchmark, split_name)
    rules = build_rules(benchmark.protocol(use.protocol), str(benchmark.folder))
    documents, files = rules.base.evaluator.documents(annotations.files), ", ".join(map(str, annotations.files))
    check_counts(use, benchmark, split_name, annotations, documents)
    documents = documents[: use.limit]
    _check_prompts(use.name, rules, documents, files)
    videos, missing = find_videos(use, benchmark, annotations.video_root, [document.video for document in documents])
    made_of = rules.origins | origins(annotations.dataset)
    return PreparedBenchmark(
        use.result_name, benchmark, split_name, rules, documents, annotations, videos, missing, use.limit, made_of
    )


def _check_prompts(name: str, rules: Rules, documents: Sequence[Document], files: str) -> None:
    """Raise a DataError where a prompt has `<video>` other than once, because the question has it too."""
    for document in documents:
        if (count := prompt_of(rules, document).count("<video>")) != 1:
            raise DataError(
                f"{name}: expected <video> once in a prompt, found it {count} times in that of question "
                f"{document.id!r} of {files}: {document.question!r}; change the question there, or the evaluator's "
                "prompt"
            )


def prompt_of(rules: Rules, document: Document) -> str:
    """Return the user's words of one question."""
    prompt = rules.of(document).evaluator.prompt(document)
    return prompt if isinstance(prompt, str) else prompt.user


def _check_missing(benchmark: PreparedBenchmark, max_fraction: float) -> None:
    absent, total = len(benchmark.missing), len(benchmark.missing) + len(benchmark.videos)
    if absent > max_fraction * total:
        first = next(iter(benchmark.missing.values()))
        raise DataError(
            f"{benchmark.name}: {absent} of {total} videos have no file, more than data.max_bad_fraction = "
            f"{max_fraction:g} allows; the first: {first}. Add them, correct `video_root` or `video_file`, or "
            "raise data.max_bad_fraction"
        )


def question_sets(benchmark: PreparedBenchmark, spec: ExperimentSpec, shared: str) -> list[QuestionSet]:
    """Return the questions of a benchmark and those of the controls that the spec wants.

    `shared` is what all answers depend on, see `vlmkit.evaluation.fingerprint`.
    """
    sets = [QuestionSet("predictions.jsonl", own_questions(benchmark, shared))]
    if spec.evaluation is not None and spec.evaluation.blind:
        others = other_clips(benchmark.videos, spec.seed)  # a video that is missing has none: it is skipped here too
        sets.append(QuestionSet("blind_predictions.jsonl", _questions(benchmark, others, shared)))
    return sets


def own_questions(benchmark: PreparedBenchmark, shared: str = "") -> list[Question]:
    """Return each question about its own video."""
    return _questions(benchmark, {}, shared)


def _questions(benchmark: PreparedBenchmark, others: Mapping[str, str], shared: str) -> list[Question]:
    """Return each question, about the video that `others` has for its own, if it has one."""
    questions = []
    for document in benchmark.documents:
        name, prompt = others.get(document.video, document.video), prompt_of(benchmark.rules, document)
        path, problem = benchmark.videos.get(name), benchmark.missing.get(name, "")
        if path is not None and not is_file(path):  # it went while the model was trained
            path, problem = None, f"{path} is gone"
        fingerprint = question_fingerprint(prompt, path, shared)
        questions.append(Question(document, prompt, name, path, problem, fingerprint))
    return questions


def other_clips(clips: Iterable[str], seed: int) -> dict[str, str]:
    """Return for each clip another one: the next on a circle of all clips, in an order that the seed decides.

    Every clip stands in for exactly one other. A DataError where there are fewer than two clips.
    """
    circle = sorted(set(clips), key=lambda clip: hashlib.sha256(f"{seed}:{clip}".encode()).digest())
    if len(circle) < 2:
        raise DataError(
            f"the blind baseline asks about another clip's video and needs at least two clips, found {len(circle)}; "
            "use more questions (`limit`), or set evaluation.blind to false"
        )
    return dict(zip(circle, circle[1:] + circle[:1], strict=True))
