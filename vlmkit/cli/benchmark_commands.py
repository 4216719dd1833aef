"""`vlmkit benchmarks`: the registry, what of it is on this machine, and new entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from vlmkit.benchmarks.entries import Benchmark, Split, benchmark_folders, find_benchmark, registry_faults
from vlmkit.benchmarks.locating import file_place
from vlmkit.benchmarks.scaffold import QuestionKind, new_benchmark
from vlmkit.errors import DataError, UserError, from_pydantic
from vlmkit.files import expand_path, is_folder
from vlmkit.formatting import columns, plural
from vlmkit.spec.evaluation import BenchmarkUse

if TYPE_CHECKING:
    from vlmkit.benchmarks.benchmark_check import CheckReport

__all__ = ["app"]

app = typer.Typer(help="The registry of benchmarks, what of it is on this machine, and new entries.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the entry, e.g. msvd-qa.")]
Further = Annotated[
    list[str] | None,
    typer.Option("--benchmarks-path", metavar="FOLDER", help="A further folder of entries. Repeatable."),
]
SplitName = Annotated[str | None, typer.Option("--split", help="Split; by default the entry's own default.")]
AnnotationRoot = Annotated[
    str | None,
    typer.Option(metavar="FOLDER", help="Folder of the annotation files, or of one folder per benchmark."),
]
VideoRoot = Annotated[
    str | None, typer.Option(metavar="FOLDER", help="Folder of the videos, or of one folder per benchmark.")
]


@app.callback(invoke_without_command=True)
def list_benchmarks(
    context: typer.Context,
    benchmarks_path: Further = None,
    annotation_root: AnnotationRoot = None,
    video_root: VideoRoot = None,
) -> None:
    """List all entries, and how many of their annotation files and videos are here. No file is opened."""
    context.obj = benchmarks_path or []
    for option, folder in (("--annotation-root", annotation_root), ("--video-root", video_root)):
        if folder is not None and not is_folder(expand_path(folder)):
            raise UserError(f"{option}: there is no folder {expand_path(folder)} (seen from {Path.cwd()})")
    if context.invoked_subcommand is None:
        for name in benchmark_folders(context.obj):
            try:
                entry = find_benchmark(name, context.obj)
            except DataError as error:
                typer.echo(f"{name}\n  {str(error).replace(chr(10), f'{chr(10)}  ')}")
                continue
            typer.echo("\n".join(_summary(entry, annotation_root, video_root)))
        for fault in registry_faults():
            typer.echo(f"entries are missing here: {fault}")


def _summary(entry: Benchmark, annotation_root: str | None, video_root: str | None) -> Iterator[str]:
    _, split = entry.split(None)
    yield f"{entry.name}: {entry.title}"
    yield f"  split {entry.default_split}: {'; '.join(filter(None, [_held(split), entry.size])) or 'no counts stated'}"
    yield f"  license: {entry.license}"
    yield f"  protocols: {', '.join(entry.protocols)}"
    yield f"  here: {', '.join(_present(entry, split, annotation_root, video_root))}"


def _held(split: Split) -> str:
    counts = [(split.questions, "question"), (split.videos, "video")]
    return ", ".join(plural(number, noun) for number, noun in counts if number is not None)


def _present(entry: Benchmark, split: Split, annotation_root: str | None, video_root: str | None) -> Iterator[str]:
    if split.dataset is not None:
        yield f"made by the dataset {split.dataset['type']}"
        return
    use, found = BenchmarkUse(name=entry.name, annotation_root=annotation_root), 0
    for file in split.files:
        try:
            file_place(use, entry, file, "")
        except DataError:
            continue
        found += 1
    yield f"{found} of {plural(len(split.files), 'annotation file')}"
    folder = expand_path(video_root) / entry.name if video_root is not None else None
    if folder is not None and is_folder(folder):
        endings = {ending.lower() for ending in entry.video.extensions}
        names = [file.name for file in folder.iterdir() if not endings or file.suffix.lower() in endings]
        yield f"{plural(len(names), 'file')} in {folder}"


@app.command("show")
def show(context: typer.Context, name: Name, benchmarks_path: Further = None) -> None:
    """Show one entry: splits, files and where to get them, protocols, published scores."""
    entry = find_benchmark(name, _more(context, benchmarks_path))
    typer.echo("\n".join(_page(entry)))


def _page(entry: Benchmark) -> Iterator[str]:
    yield f"{entry.name}: {entry.title}"
    facts = {"paper": entry.paper, "license": entry.license, "version": entry.version, "videos": entry.size,
             "answers are clustered by": entry.cluster, "folder": str(entry.folder)}  # fmt: skip
    yield from (f"  {name}: {text}" for name, text in facts.items() if text)
    for name, split in entry.splits.items():
        default = " (default)" if name == entry.default_split else ""
        yield f"split {name}{default}: {_held(split) or 'no counts stated'}"
        if split.dataset is not None:
            yield f"  dataset {split.dataset}"
        for file in split.files:
            yield f"  {file.name}: sha256 {file.sha256 or 'not stated; `vlmkit benchmarks pin` adds it'}"
            yield f"    from {file.source}"
            if file.second_hand:
                yield f"    second-hand: {file.second_hand}"
    for protocol in entry.protocols.values():
        yield f"protocol {protocol.label}: {', '.join(protocol.metrics)}"
        facts = {"source": protocol.source, "evaluator": protocol.evaluator["type"],
                 "tasks": ", ".join(protocol.tasks), "judge prompt": protocol.judge_prompt or "",
                 "longest answer": f"{protocol.generation.max_new_tokens} tokens"}  # fmt: skip
        yield from (f"  {name}: {text}" for name, text in facts.items() if text)
    if (published := entry.published) is not None:
        yield f"published on split {published.split}: {published.source}; judge: {published.judge}"
        rows = [(row.model, f"{row.data} data", *(f"{name} {value:g}" for name, value in row.metrics.items()))
                for row in published.results]  # fmt: skip
        widest = max(map(len, rows), default=0)
        yield columns([(*row, *[""] * (widest - len(row))) for row in rows])


@app.command("check")
def check(
    context: typer.Context,
    name: Name,
    split: SplitName = None,
    annotation_root: AnnotationRoot = None,
    annotations: Annotated[
        list[str] | None,
        typer.Option("--annotations", metavar="FILE", help="A file in place of the entry's own. Repeatable."),
    ] = None,
    video_root: VideoRoot = None,
    video_file: Annotated[
        str | None, typer.Option(metavar="TEMPLATE", help="How videos are called, e.g. msvd_{video}{ext}.")
    ] = None,
    decode: Annotated[bool, typer.Option(help="Also decode three frames of each video.")] = True,
    benchmarks_path: Further = None,
) -> None:
    """Verify checksums and counts of a split, and that every video is there and decodes; exit code 2 if not."""
    from vlmkit.benchmarks.benchmark_check import check_benchmark
    from vlmkit.spec.experiment import DataSpec

    own = [{"path": path} for path in annotations] if annotations else None
    use = _use(name, split, annotation_root, annotations=own, video_root=video_root, video_file=video_file)
    reader = DataSpec().reader.build() if decode else None
    _tell(check_benchmark(use, _more(context, benchmarks_path), reader))


@app.command("pin")
def pin(
    context: typer.Context,
    name: Name,
    split: SplitName = None,
    annotation_root: AnnotationRoot = None,
    benchmarks_path: Further = None,
) -> None:
    """Keep the checksums and counts that an entry lacks, of the files on this machine; every run verifies them.

    They go into $VLMKIT_PINS, by default ~/.config/vlmkit/pins.yaml.
    """
    from vlmkit.benchmarks.benchmark_check import pin_benchmark

    _tell(pin_benchmark(_use(name, split, annotation_root), _more(context, benchmarks_path)))


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the new entry, e.g. crossing.")],
    folder: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder of entries in which it is made.")] = Path(
        "benchmarks"
    ),
    kind: Annotated[QuestionKind, typer.Option(help="What the questions are.")] = "open-ended",
) -> None:
    """Make a folder with a new entry: benchmark.yaml, README.md and two example questions."""
    place = new_benchmark(name, folder, kind)
    typer.echo(f"made: {place}")
    typer.echo(f"next: vlmkit benchmarks check {name} --benchmarks-path {place.parent} --video-root FOLDER")


def _more(context: typer.Context, own: Sequence[str] | None) -> list[str]:
    return [*context.obj, *(own or [])]


def _use(name: str, split: str | None, annotation_root: str | None, **more: Any) -> BenchmarkUse:
    try:
        return BenchmarkUse(name=name, split=split, annotation_root=annotation_root, **more)
    except ValidationError as error:
        [problem, *_] = from_pydantic(error)
        raise UserError(f"--{'-'.join(map(str, problem.path)).replace('_', '-')}: {problem.message}") from None


def _tell(report: CheckReport) -> None:
    """Print a report. A UserError where something is wrong."""
    typer.echo("\n".join([report.name, *(f"  {line}" for line in report.verified)]))
    for problem in report.problems:
        typer.echo(f"  wrong: {problem}")
    if report.problems:
        raise UserError(f"{report.name}: {plural(len(report.problems), 'problem')}, see above")
