"""What one benchmark of a spec asks: its questions, checked, and where their videos lie."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vlmkit.api.evaluator import Document, Evaluator, EvaluatorSpec
from vlmkit.errors import DataError
from vlmkit.evaluation.annotations import Annotations, locate
from vlmkit.evaluation.blind import other_clips
from vlmkit.evaluation.registry import Benchmark, find_benchmark
from vlmkit.files import is_file
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.identity import Origins, origins
from vlmkit.spec.loading import read_component

__all__ = ["Selection", "prepare", "select"]


@dataclass(frozen=True)
class Selection:
    """One benchmark, ready to be asked."""

    name: str
    """Name of the result and of its folder in the run."""
    benchmark: Benchmark
    split: str
    evaluator: Evaluator
    documents: Sequence[Document]
    annotations: Annotations
    videos: Mapping[str, Path]
    """The file of each video that has one."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Videos without a file, with the reason."""
    limit: int | None = None
    origins: Origins = field(default_factory=dict)
    """What evaluator and dataset come from."""


def prepare(spec: ExperimentSpec) -> list[Selection]:
    """All benchmarks of a spec: entries, splits, annotations and videos found and verified, clips drawn.

    Worth calling before a long training: what is missing is a DataError here.
    """
    options = spec.evaluation
    if options is None:
        return []
    options.judge.build()
    selections = [select(use) for use in options.benchmarks]
    for selection in selections:
        _check_missing(selection, spec.data.max_bad_fraction)
        if options.blind:
            other_clips(selection.videos, seed=spec.seed)
    return selections


def select(use: BenchmarkUse) -> Selection:
    """One benchmark of a spec. A DataError where something is missing or not what the registry says."""
    benchmark = find_benchmark(use.name)
    split_name, split = benchmark.split(use.split)
    annotations = locate(use, split_name, split)
    options = read_component("evaluator", benchmark.evaluator, f"{benchmark.folder}, `evaluator`")
    assert isinstance(options, EvaluatorSpec)
    evaluator = options.build()
    if unknown := [metric for metric in benchmark.metrics if metric not in evaluator.metrics()]:
        known = ", ".join(evaluator.metrics())
        raise DataError(f"{benchmark.folder}: evaluator {options.type!r} has no metric {unknown[0]!r}; it has: {known}")
    documents = evaluator.documents(annotations.files)
    if annotations.registered and split.questions is not None and len(documents) != split.questions:
        raise DataError(
            f"{use.name}, split {split_name}: expected {split.questions} questions as the registry says, "
            f"found {len(documents)} in {', '.join(map(str, annotations.files))}; correct {benchmark.folder}"
        )
    documents = documents[: use.limit]
    _check_prompts(use, evaluator, documents, annotations)
    videos, missing = _find_videos(use, benchmark, annotations.video_root, [document.video for document in documents])
    return Selection(
        use.result_name,
        benchmark,
        split_name,
        evaluator,
        documents,
        annotations,
        videos,
        missing,
        use.limit,
        origins(options, annotations.dataset),
    )


def _check_prompts(
    use: BenchmarkUse, evaluator: Evaluator, documents: Sequence[Document], annotations: Annotations
) -> None:
    """A prompt has one video, for which `<video>` stands; so no question can have it too."""
    for document in documents:
        if (count := evaluator.prompt(document).count("<video>")) != 1:
            raise DataError(
                f"{use.name}: expected <video> once in a prompt, found it {count} times in that of question "
                f"{document.id!r} of {', '.join(map(str, annotations.files))}: {document.question!r}; change the "
                "question there, or the evaluator's prompt"
            )


def _check_missing(selection: Selection, max_fraction: float) -> None:
    absent, total = len(selection.missing), len(selection.missing) + len(selection.videos)
    if absent > max_fraction * total:
        first = next(iter(selection.missing.values()))
        raise DataError(
            f"{selection.name}: {absent} of {total} videos have no file, more than data.max_bad_fraction = "
            f"{max_fraction:g} allows; the first: {first}. Add them, correct `video_root` or `video_file`, or "
            "raise data.max_bad_fraction"
        )


def _find_videos(
    use: BenchmarkUse, benchmark: Benchmark, root: Path, names: Sequence[str]
) -> tuple[dict[str, Path], dict[str, str]]:
    template = use.video_file or benchmark.video_file
    if use.extensions and "{ext}" not in template:
        raise DataError(
            f"{use.name}: `extensions` would do nothing: the template {template!r} of `video_file` has no {{ext}}; add "
            "it there, or remove `extensions`"
        )
    extensions = (use.extensions or benchmark.extensions) if "{ext}" in template else [""]
    tried = dict.fromkeys(spelled for extension in extensions for spelled in (extension, extension.upper()))
    found, missing = {}, {}
    for name in dict.fromkeys(names):
        files = (root / _filled(template, name, extension) for extension in tried)
        file = next(filter(is_file, files), None)
        if file is not None:
            found[name] = file
        else:
            absent = " or ".join(_filled(template, name, extension) for extension in extensions)
            missing[name] = f"no file {absent} in {root}"
    if not found:
        raise DataError(
            f"{use.name}: none of its {len(missing)} videos was found; the first: {next(iter(missing.values()))}. "
            "Set `video_root` to the folder of the videos, `video_file` and `extensions` to how they are called there"
        )
    return found, missing


def _filled(template: str, video: str, extension: str) -> str:
    """In one go: what looks like a placeholder in the name of a video is none."""
    values = {"{video}": video, "{ext}": extension}
    return re.sub(r"\{video\}|\{ext\}", lambda placeholder: values[placeholder[0]], template)
