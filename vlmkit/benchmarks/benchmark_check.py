"""The check that all a benchmark needs is here and whole: annotation files, questions, videos that decode; and pins."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.api.reader import Reader
from vlmkit.benchmarks.annotations import read_documents
from vlmkit.benchmarks.entries import Benchmark, find_benchmark, find_videos, read_benchmark
from vlmkit.benchmarks.locating import (
    Annotations,
    AnnotationsUsed,
    FileUsed,
    annotation_files,
    check_counts,
    locate,
    registered_file,
    video_folder,
)
from vlmkit.benchmarks.pins import Pin, add_pins, pinned, pins_file
from vlmkit.benchmarks.protocols import Rules, build_rules, check_prompts
from vlmkit.errors import DataError, UnreadableVideo
from vlmkit.formatting import count, plural
from vlmkit.progress import Progress
from vlmkit.spec.evaluation import BenchmarkUse

__all__ = ["CheckReport", "check_benchmark", "pin_benchmark"]

_MOST_THREADS = 8


class CheckReport(NamedTuple):
    """The findings on one split."""

    name: str
    """Benchmark and split."""
    verified: list[str]
    """What is as it should be, in lines for people."""
    problems: list[str]
    """What is not."""


def check_benchmark(use: BenchmarkUse, more: Sequence[str] = (), reader: Reader | None = None) -> CheckReport:
    """Verify checksums and counts of one split and, where `video_root` is set, that each video is there and decodes.

    Everything that is wrong is reported, not the first thing alone. Of each video the first, the middle and the last
    frame are decoded by `reader`; None: none is.

    Raises:
        DataError: there is no such benchmark or split, one of its protocols cannot be built, a file is malformed, or
            there is no video of it at all.
    """
    benchmark = find_benchmark(use.name, more)
    split_name, split = benchmark.split(use.split)
    rules = [build_rules(protocol, benchmark.folder) for protocol in benchmark.protocols.values()]
    report = CheckReport(f"{benchmark.name}, split {split_name}", [], [])
    if split.dataset is not None:
        located = locate(use, benchmark, split_name)
        report.verified.append(f"questions and videos come from the dataset {split.dataset['type']!r}")
        documents, root = _questions(use, benchmark, split_name, located, rules, report), located.video_root
    else:
        files = _files(use, benchmark, split_name, report)
        if files is None:
            return report
        documents = _questions(use, benchmark, split_name, files, rules, report)
        if use.video_root is None:
            report.verified.append("videos: not looked for, as `--video-root` is not given")
            return report
        root = video_folder(use, split_name)
    videos, missing = find_videos(use, benchmark, root, [document.video for document in documents])
    report.problems.extend(f"video {name}: {problem}" for name, problem in missing.items())
    report.verified.append(f"videos: {count(len(videos))} of {count(len(videos) + len(missing))} there")
    if reader is not None:
        _decode(videos, reader, report)
    return report


def _files(use: BenchmarkUse, benchmark: Benchmark, split_name: str, report: CheckReport) -> Annotations | None:
    """Verify each annotation file. None where one is missing or not the right one."""
    if use.annotations is not None:
        own, own_used = annotation_files(use, benchmark, split_name)
        report.verified.extend(f"{file.path}: sha256 {file.sha256}" for file in own_used.files or ())
        return Annotations(own, Path(), own_used)
    paths: list[Path] = []
    used: list[FileUsed] = []
    for file in benchmark.splits[split_name].files:
        try:
            path, found = registered_file(use, benchmark, split_name, file)
        except DataError as error:
            report.problems.append(str(error))
            continue
        paths.append(path)
        used.append(found)
        state = f"sha256 {file.sha256}" if file.sha256 else "not verified: the entry has no checksum of it, pin it"
        report.verified.append(f"{file.name}: {state}")
    if report.problems:
        return None
    return Annotations(tuple(paths), Path(), AnnotationsUsed(files=used, registered=True))


def _questions(
    use: BenchmarkUse,
    benchmark: Benchmark,
    split_name: str,
    annotations: Annotations,
    protocols: Sequence[Rules],
    report: CheckReport,
) -> Sequence[Document]:
    """Read the questions, compare their number with the entry's, and put them as each protocol does."""
    documents = read_documents(annotations.files, benchmark.annotation_options(split_name))
    try:
        check_counts(use, benchmark, split_name, annotations, documents)
    except DataError as error:
        report.problems.append(str(error))
    report.verified.append(_counted(documents))
    for rules in protocols:
        try:
            check_prompts(f"protocol {rules.protocol.name}", rules, documents, ", ".join(map(str, annotations.files)))
        except DataError as error:
            report.problems.append(str(error))
    return documents


def _counted(documents: Sequence[Document]) -> str:
    videos = len({document.video for document in documents})
    return f"{plural(len(documents), 'question')} about {plural(videos, 'video')}"


def _decode(videos: Mapping[str, Path], reader: Reader, report: CheckReport) -> None:
    """Decode some frames of each video, several at once: each thread opens its own."""
    bad: dict[str, str] = {}
    threads = min(_MOST_THREADS, os.cpu_count() or 1)
    with Progress("decoding", len(videos)) as progress, ThreadPoolExecutor(threads) as pool:
        pending = {pool.submit(_problem, reader, path): name for name, path in videos.items()}
        try:
            for future in as_completed(pending):
                if problem := future.result():
                    bad[pending[future]] = problem
                progress.advance()
                progress.tell(f"{count(progress.done)} of {plural(len(videos), 'video')}, {count(len(bad))} bad")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    report.problems.extend(f"video {name}: {bad[name]}" for name in videos if name in bad)
    report.verified.append(
        f"videos: {count(len(videos) - len(bad))} of {count(len(videos))} decode (first, middle and last frame)"
    )


def _problem(reader: Reader, path: Path) -> str:
    """Return why a video cannot be decoded, nothing where it can."""
    try:
        video = reader.open(path)
        if video.num_frames < 1:
            return f"{path}: it holds no frames"
        video.frames(sorted({0, video.num_frames // 2, video.num_frames - 1}))
    except UnreadableVideo as error:
        return str(error)
    return ""


def pin_benchmark(use: BenchmarkUse, more: Sequence[str] = ()) -> CheckReport:
    """Pin the checksums and counts of one split that its entry lacks, as they are on this machine.

    A DataError where the entry lacks none, a file is missing or malformed, or another content is pinned already.
    """
    benchmark = read_benchmark(find_benchmark(use.name, more).folder)
    split_name, split = benchmark.split(use.split)
    where = f"{benchmark.name}, split {split_name}"
    if not split.files:
        raise DataError(f"{where}: there is nothing to pin: its questions come from a dataset, not from files")
    files = [registered_file(use, benchmark, split_name, file) for file in split.files]
    located = Annotations(
        tuple(path for path, _ in files), Path(), AnnotationsUsed(files=[used for _, used in files], registered=True)
    )
    documents = read_documents(located.files, benchmark.annotation_options(split_name))
    check_counts(use, benchmark, split_name, located, documents)
    lacking = {
        file.name: used.sha256 for file, (_, used) in zip(split.files, files, strict=True) if file.sha256 is None
    }
    pin = Pin(
        questions=None if split.questions else len(documents),
        videos=None if split.videos else len({document.video for document in documents}),
        files=lacking,
    )
    if pin == Pin():
        raise DataError(f"{where}: there is nothing to pin: its entry has all checksums and counts")
    _check_pinned(pinned(benchmark), split_name, pin, where)
    place = add_pins(benchmark.name, {split_name: pin})
    lines = [f"{name}: sha256 {sha256}" for name, sha256 in lacking.items()]
    return CheckReport(where, [*lines, _counted(documents), f"pinned in {place}"], [])


def _check_pinned(benchmark: Benchmark, split_name: str, pin: Pin, where: str) -> None:
    """Raise a DataError where a file is pinned with another checksum."""
    for file in benchmark.splits[split_name].files:
        if file.name in pin.files and file.sha256 not in (None, pin.files[file.name]):
            raise DataError(
                f"{where}: {file.name} is pinned with sha256 {file.sha256}, found {pin.files[file.name]}; to pin this "
                f"one, remove the split from {pins_file()}"
            )
