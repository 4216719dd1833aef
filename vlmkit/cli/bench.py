"""`vlmkit bench`: timings on this machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Annotated, Literal

import typer

from vlmkit.cli.experiments import Overrides
from vlmkit.errors import UserError
from vlmkit.files import expand_path
from vlmkit.formatting import columns
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import load_spec, parse_overrides

__all__ = ["app"]

app = typer.Typer(help="Measure what things cost on this machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep `vision` a command of its own."""


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
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for vision.json and vision.svg.")
    ] = None,
) -> None:
    """Time, operations, parameters, memory and tokens of the visual parts of specs, interleaved in one run.

    Weights are random, videos square and full; nothing is downloaded.
    """
    overrides = parse_overrides(set_ or [])
    loaded = _told_apart([load_spec(spec, set=overrides) for spec in specs], specs)
    if output is not None:
        output = expand_path(output)
        _make_folder(output)
    from vlmkit.bench import TimingOptions, bench_vision
    from vlmkit.bench.vision import as_json, bar_chart, machine, rows
    from vlmkit.files import write_atomic

    options = TimingOptions(rounds, batch, dtype, threads, device, compile_, train)
    results = bench_vision(loaded, options, lambda message: typer.echo(message, err=True))
    where = machine(options)
    typer.echo(f"{where['device']}, {dtype}, {threads} threads, torch {where['torch']}; a matrix product reaches "
               f"{where['matmul_gmacs_per_second']:,.1f} GMAC/s")  # fmt: skip
    typer.echo(columns(rows(results)))
    if output is not None:
        write_atomic(output / "vision.json", as_json(results, options, where))
        write_atomic(output / "vision.svg", bar_chart(results, options))
        typer.echo(f"written: {output / 'vision.json'}, {output / 'vision.svg'}")


def _told_apart(loaded: Sequence[ExperimentSpec], files: Sequence[Path]) -> list[ExperimentSpec]:
    """The specs, with folder and file in the names that several of them have."""
    names = Counter(spec.name for spec in loaded)
    return [
        spec.model_copy(update={"name": f"{spec.name} ({Path(*file.parts[-2:])})"}) if names[spec.name] > 1 else spec
        for spec, file in zip(loaded, files, strict=True)
    ]


def _make_folder(folder: Path) -> None:
    """Now, not when everything has been measured. A UserError where nothing can be written there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--output {folder}: expected a folder, found a file")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f"--output {folder}: nothing can be written there: {error.strerror or error}") from None
