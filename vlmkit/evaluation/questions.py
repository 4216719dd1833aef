"""The questions of a benchmark: annotation files verified, videos found, and who is shown which video.

A control changes the video that is shown: the blind one asks each question about another clip's video.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from vlmkit.api.contract import type_name
from vlmkit.api.dataset import DatasetSpec
from vlmkit.api.document import Document
from vlmkit.errors import DataError
from vlmkit.evaluation.benchmarks import Benchmark, Split, find_benchmark, find_videos
from vlmkit.evaluation.fingerprint import question_fingerprint
from vlmkit.evaluation.protocols import Rules, build_rules
from vlmkit.evaluation.records import AnnotationsUsed, FileUsed, Question
from vlmkit.files import expand_path, file_sha256, is_file, is_folder
from vlmkit.guard import component_error, guarded
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import Origins, origins
from vlmkit.spec.loading import read_component

__all__ = [
    "PreparedBenchmark", "QuestionDataset", "QuestionSet", "other_clips", "own_questions", "prepare_benchmark",
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
    prepared = [prepare_benchmark(use) for use in options.benchmarks]
    for benchmark in prepared:
        _check_missing(benchmark, spec.data.max_bad_fraction)
        if options.blind:
            other_clips(benchmark.videos, seed=spec.seed)
    return prepared


def prepare_benchmark(use: BenchmarkUse) -> PreparedBenchmark:
    """Prepare one benchmark of a spec. A DataError where something is missing or not what the registry says."""
    benchmark = find_benchmark(use.name)
    split_name, split = benchmark.split(use.split)
    annotations = _locate(use, split_name, split)
    rules = build_rules(benchmark.protocol(use.protocol), str(benchmark.folder))
    documents, files = rules.base.evaluator.documents(annotations.files), ", ".join(map(str, annotations.files))
    if annotations.used.registered and split.questions is not None and len(documents) != split.questions:
        raise DataError(
            f"{use.name}, split {split_name}: expected {split.questions} questions as the registry says, "
            f"found {len(documents)} in {files}; correct {benchmark.folder}"
        )
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


@runtime_checkable
class QuestionDataset(Protocol):
    """The spec of a dataset from which a benchmark can take its questions."""

    def prepare(self) -> Path:
        """Make what is missing of the files below."""

    def annotations(self) -> Path:
        """Return the path of a JSON list of `{id, video, question, answer, type}`."""

    def video_root(self) -> Path:
        """Return the folder of the video files."""


class Annotations(NamedTuple):
    """Annotation files on this machine and the folder of their videos."""

    files: tuple[Path, ...]
    video_root: Path
    used: AnnotationsUsed
    """The same for the result."""
    dataset: DatasetSpec | None = None
    """The dataset that provides them, if one does."""


def _locate(use: BenchmarkUse, split_name: str, split: Split) -> Annotations:
    """Find and verify the annotation files of one split; each is read once.

    A DataError, with what to set, where something is missing or has changed.
    """
    where = f"{use.name}, split {split_name}"
    if split.dataset is not None:
        for key in ("annotations", "annotation_root", "video_root"):
            if getattr(use, key) is not None:
                raise DataError(f"{where}: `{key}` cannot be set: questions and videos come from the dataset "
                                f"{split.dataset['type']!r}, whose options are under `dataset`")  # fmt: skip
        return _from_dataset(use, split.dataset, where)
    if use.dataset is not None:
        raise DataError(
            f"{where}: `dataset` cannot be set: the questions come from annotation files, not from a dataset"
        )
    if use.annotations is not None and use.annotation_root is not None:
        raise DataError(f"{where}: set either `annotation_root` or `annotations`, not both")
    files = _registered(use, split, where) if use.annotations is None else [
        _verified(file.path, file.sha256, where, False, "correct the path under `annotations`",
                  "restore the file, or correct the checksum under `annotations`")
        for file in use.annotations
    ]  # fmt: skip
    used = AnnotationsUsed(files=files, registered=use.annotations is None)
    return Annotations(tuple(expand_path(file.path) for file in files), _video_root(use, where), used)


def _registered(use: BenchmarkUse, split: Split, where: str) -> list[FileUsed]:
    if use.annotation_root is None:
        names, sources = ", ".join(file.name for file in split.files), "; ".join(file.source for file in split.files)
        raise DataError(f"{where}: set `annotation_root` to the folder that holds {names} (from {sources}), or list "
                        "other files under `annotations`")  # fmt: skip
    return [
        _verified(str(Path(use.annotation_root) / file.name), file.sha256, where, True,
                  f"get it from {file.source}, or correct `annotation_root`",
                  f"get it again from {file.source}, or, to use this one on purpose, list it under `annotations`")
        for file in split.files
    ]  # fmt: skip


def _verified(written: str, sha256: str | None, where: str, registered: bool, absent: str, changed: str) -> FileUsed:
    """Hash a file and compare it with the checksum that the registry, or else the spec, has of it.

    Its path is kept as it is written there: no result should depend on whose home folder `~` is.
    """
    path = expand_path(written)
    if not is_file(path):
        raise DataError(f"{where}: there is no annotation file {path}; {absent}")
    found = file_sha256(path)
    if sha256 not in (None, found):
        problem, by = (" is not the registered annotation file", "") if registered else ("", " as the spec says")
        raise DataError(f"{where}: {path}{problem}: expected sha256 {sha256}{by}, found {found}; {changed}")
    return FileUsed(path=written, sha256=found)


def _video_root(use: BenchmarkUse, where: str) -> Path:
    if use.video_root is None:
        raise DataError(f"{where}: set `video_root` to the folder of the video files")
    root = expand_path(use.video_root)
    if not is_folder(root):
        raise DataError(f"{where}: there is no folder of videos {root} (seen from {Path.cwd()}); correct `video_root`")
    return root


def _from_dataset(use: BenchmarkUse, own: Mapping[str, Any], where: str) -> Annotations:
    spec = read_component("dataset", {**own, **(use.dataset or {})}, f"{where}, `dataset`")
    if not isinstance(spec, QuestionDataset):
        raise DataError(f"{where}: a benchmark cannot take its questions from dataset {spec.type!r}: it has no "
                        "prepare(), annotations() and video_root()")  # fmt: skip
    with guarded(spec, "prepare()"):
        spec.prepare()
    used = AnnotationsUsed(dataset=spec.model_dump(mode="json"), registered=not use.dataset)
    files, root = _path(spec, "annotations"), _path(spec, "video_root")
    assert isinstance(spec, DatasetSpec)
    return Annotations((files,), root, used, spec)


def _path(spec: QuestionDataset, member: str) -> Path:
    with guarded(spec, f"{member}()"):
        path = getattr(spec, member)()
    if not isinstance(path, Path):
        raise component_error(spec, f"{member}() gives {type_name(path)}, expected a pathlib.Path")
    return path
