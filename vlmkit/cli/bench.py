"""`vlmkit bench`: timings on this machine."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from vlmkit.cli.experiments import Overrides, RunsFolder
from vlmkit.errors import UserError
from vlmkit.files import expand_path, shipped_folder, write_atomic
from vlmkit.formatting import columns, large
from vlmkit.json_files import read_record, write_record
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec, parse_overrides
from vlmkit.study.rows import load_study

if TYPE_CHECKING:
    from vlmkit.bench import TimingOptions, VisionTimings

__all__ = ["app"]

app = typer.Typer(help="Measure what things cost on this machine.", no_args_is_help=True)
_SYSTEMS = Path("specs/studies/moving-shapes-systems.yaml")


@app.command("vision")
def vision(
    specs: Annotated[list[Path], typer.Argument(metavar="SPEC", help="Spec files whose visual parts are compared.")],
    set_: Overrides = None,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; in each, every spec has its turn.")] = 5,
    batch: Annotated[int, typer.Option(min=1, help="Videos per pass.")] = 1,
    dtype: Annotated[Literal["float32", "bfloat16"], typer.Option(help="Precision of weights and pixels.")] = "float32",
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    compile_: Annotated[bool, typer.Option("--compile", help="Through torch.compile.")] = False,
    train: Annotated[bool, typer.Option("--train", help="Also time forward and backward together.")] = False,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="For vision.json and vision.svg.")] = None,
) -> None:
    """Time, operations, parameters, memory and tokens of the visual parts of specs, interleaved in one run.

    Weights are random, videos square and full; nothing is downloaded.
    """
    overrides = parse_overrides(set_ or [])
    loaded = _told_apart([load_spec(spec, set=overrides) for spec in specs], specs)
    if output is not None:
        output = expand_path(output)
        _make_folder("--output", output)
    from vlmkit.bench import TimingOptions, bench_vision, machine

    options = TimingOptions(rounds, batch, dtype, threads, device, compile_, train)
    results = bench_vision(loaded, options, lambda message: typer.echo(message, err=True))
    where = machine(options)
    typer.echo(f"{where['device']}, {dtype}, {threads} threads, torch {where['torch']}; a matrix product reaches "
               f"{where['matmul_gmacs_per_second']:,.1f} GMAC/s")  # fmt: skip
    typer.echo(columns(_rows(results)))
    if output is not None:
        found = {"machine": where, "options": asdict(options), "results": [result.as_dict() for result in results]}
        write_atomic(output / "vision.json", json.dumps(found, indent=2))
        write_atomic(output / "vision.svg", _bar_chart(results, options))
        typer.echo(f"written: {output / 'vision.json'}, {output / 'vision.svg'}")


@app.command("systems")
def systems(
    specs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="SPEC", help="Spec files of full size, the first to compare with; else the shipped ones."
        ),
    ] = None,
    study: Annotated[Path, typer.Option(metavar="STUDY", help="A study of small ones.")] = _SYSTEMS,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; in each, every system has its turn.")] = 5,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    memory: Annotated[
        float | None, typer.Option(min=0, metavar="GIB", help="Of all timed visual parts; else half of what is free.")
    ] = None,
    most_macs: Annotated[
        float | None,
        typer.Option(min=0, metavar="N", help="Time systems of at most N multiply-accumulates, e.g. 1e12."),
    ] = None,
    keep_times: Annotated[
        bool, typer.Option("--keep-times", help="Time nothing: the last run's times stand beside the page, as JSON.")
    ] = False,
    to: Annotated[Path, typer.Option(metavar="FILE", help="The page, Markdown.")] = Path("docs/equal-footing.md"),
    output: RunsFolder = Path("runs"),
) -> None:
    """Write a page of systems on equal footing: parameters, tokens, operations and times, and what a study has found.

    All systems of full size are counted without weights; those within --memory and --most-macs are timed with random
    ones.
    """
    os.environ["HF_HUB_OFFLINE"] = "1"
    loaded, named = load_study(study), [load_spec(spec) for spec in specs or []]
    page = expand_path(to)
    _make_folder("--to", page.parent)
    from vlmkit.bench import systems as side_by_side
    from vlmkit.bench import systems_page
    from vlmkit.bench.vision import TimingOptions

    found, rows = side_by_side.systems_of(named), {row.label: row.experiment for row in loaded.rows}
    counted, small = side_by_side.count_systems(found), side_by_side.count_systems(rows)
    file = page.with_suffix(".json")
    if keep_times:
        times = read_record(file, side_by_side.SystemTimings, "leave --keep-times out, so that all are timed")
        times.check(counted, small)
    else:
        limits = side_by_side.SystemLimits(memory, float("inf") if most_macs is None else most_macs)
        given = {"rounds": rounds, "threads": threads, "device": device, "memory": memory, "most-macs": most_macs}
        said = [f"--{name} {value:g}" if isinstance(value, float) else f"--{name} {value}"
                for name, value in given.items() if value is not None]  # fmt: skip
        command = ["vlmkit bench systems", *map(str, specs or []), *said]
        options = TimingOptions(rounds=rounds, threads=threads, device=device)
        chosen, told = limits.choose(counted), lambda message: typer.echo(message, err=True)
        times = side_by_side.time_systems(found, rows, chosen, options, " ".join(command), told)
        write_record(file, times.data())
    scores = side_by_side.study_scores(loaded, output)
    write_atomic(page, systems_page.systems_page(side_by_side.Systems(counted, loaded, small, scores, times)))
    typer.echo(f"written: {to}, {file}")


@app.command("evaluation")
def evaluation(
    spec: Annotated[Path | None, typer.Argument(metavar="SPEC", help="Whose model answers; else quickstart's.")] = None,
    set_: Overrides = None,
    clips: Annotated[int, typer.Option(min=1, max=10_000, help="Clips to draw; each has five questions.")] = 80,
    size: Annotated[int, typer.Option(min=32, max=2048, help="Side of a clip, pixels.")] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions per pass.")] = 64,
    workers: Annotated[int | None, typer.Option(min=0, max=64, help="Decoding processes; none: as `eval`.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Longest answer.")] = 8,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; in each, both ways have their turn.")] = 3,
    threads: Annotated[int, typer.Option(min=1, max=1024, help="CPU threads.")] = 1,
) -> None:
    """Questions per second of an evaluation, against one question at a time without decoding ahead.

    Weights are random and clips are drawn; nothing is downloaded. Both ways must give the same answers.
    """
    loaded = load_spec(spec or shipped_folder("specs") / "quickstart.yaml", set=parse_overrides(set_ or []))
    from vlmkit.bench import EvaluationOptions, bench_evaluation

    options = EvaluationOptions(clips, size, batch_size, workers, max_new_tokens, rounds, threads)
    one, batched = bench_evaluation(loaded, None, options, lambda message: typer.echo(message, err=True))
    rows = [("way", "median", "questions/s", "x", "peak MiB by round")]
    for way in (one, batched):
        peaks = ", ".join(f"{peak / 2**20:,.0f}" for peak in way.peaks) or "-"
        rows.append((way.name, f"{way.median:,.2f} s", f"{way.rate:,.1f}", f"{one.median / way.median:.2f}", peaks))
    typer.echo(f"{one.questions} questions about {clips} clips, {threads} threads, the same answers in both ways")
    typer.echo(columns(rows))


def _told_apart(loaded: Sequence[ExperimentSpec], files: Sequence[Path]) -> list[ExperimentSpec]:
    """Return the specs, with folder and file in the names that several of them have."""
    names = Counter(spec.name for spec in loaded)
    return [
        spec.model_copy(update={"name": f"{spec.name} ({Path(*file.parts[-2:])})"}) if names[spec.name] > 1 else spec
        for spec, file in zip(loaded, files, strict=True)
    ]


def _make_folder(option: str, folder: Path) -> None:
    """Make the folder before anything is measured. A UserError where nothing can be written there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{option} {folder}: expected a folder, found a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"{option} {folder}: nothing can be written there: {error.strerror or error}") from None


def _rows(results: Sequence[VisionTimings]) -> list[tuple[str, ...]]:
    """Return a header and one row per spec; `x` compares with the first spec."""
    table = []
    for result in results:
        figures: dict[str, Any] = result.as_dict()
        row = {
            "spec": result.name,
            "median": f"{result.median * 1000:,.1f} ms",
            "spread": f"±{result.spread * 1000:,.1f} ms",
            "x": f"{result.median / results[0].median:.2f}",
            "of matmul rate": f"{figures['fraction']:.0%}",
            "MAC": large(result.macs),
            "parameters": f"{result.parameters:,}",
            "peak MiB": "-" if result.peak_bytes is None else f"{result.peak_bytes / 2**20:,.0f}",
            "tokens": f"{result.tokens:,}",
            "frames": str(result.frames),
        }
        if result.train_seconds:
            row["train step / forward"] = f"{figures['train_to_forward']:.2f}"
        table.append(row)
    return [tuple(table[0]), *(tuple(row.values()) for row in table)]


def _bar_chart(results: Sequence[VisionTimings], options: TimingOptions) -> str:
    """Return the SVG of each spec's median time on a logarithmic scale, with its range."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 1.2 + 0.45 * len(results)), layout="constrained")
    axes = figure.subplots()
    medians = [result.median for result in results]
    ranges = [[result.median - min(result.seconds), max(result.seconds) - result.median] for result in results]
    places = range(len(results))
    bars = axes.barh(places, medians, xerr=list(zip(*ranges, strict=True)), color="#3b6ea5", ecolor="#222222")
    axes.set_yticks(places, [result.name for result in results])
    axes.bar_label(bars, [f" {value * 1000:,.0f} ms" for value in medians], padding=4)
    axes.set_xscale("log")
    axes.margins(x=0.15)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(f"seconds (logarithmic) per batch of {options.batch}, {options.dtype}, {options.device}")
    axes.set_title("Forward pass of the visual part", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    out = StringIO()
    figure.savefig(out, format="svg")
    return out.getvalue()
