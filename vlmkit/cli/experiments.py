"""The commands on specs, runs and checkpoints: `vlmkit check`, `run`, `train` and `import`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vlmkit.errors import CheckpointError, UserError, shown
from vlmkit.formatting import columns, large, plural
from vlmkit.runtime import rank
from vlmkit.spec.loading import load_spec, parse_overrides, resolved
from vlmkit.spec.study_files import is_study

if TYPE_CHECKING:
    from vlmkit.spec.evaluation import EvaluationSpec
    from vlmkit.spec.experiment import ExperimentSpec
    from vlmkit.summary import Summary

__all__ = ["Overrides", "RunsFolder", "check", "import_checkpoint", "run", "train"]

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file, e.g. specs/quickstart.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, e.g. model.aligner.fsra=false. Repeatable."),
]
RunsFolder = Annotated[Path, typer.Option("--output", "-o", help="The folder that holds the run folders.")]


def check(
    spec: SpecFile,
    set_: Overrides = None,
    show: Annotated[bool, typer.Option("--resolved", help="Also print the spec with every default.")] = False,
    seed_deviation: Annotated[
        float, typer.Option(min=0, max=100, help="Of a study, points by which scores vary over seeds (deviation).")
    ] = 1.0,
    discordant: Annotated[
        float, typer.Option(min=0.01, max=100, help="Of a study, percent of questions answered by one of two rows.")
    ] = 10.0,
    probe: Annotated[
        bool, typer.Option("--probe", help="Of a study, also run a little of each row: hours and disk, and what fails.")
    ] = False,
    output: RunsFolder = Path("runs"),
) -> None:
    """Validate a spec and compose its model without weights: parameters, tokens, operations, memory.

    Needs no network, no weights and no data; takes seconds. Of a study it shows every row of the table, which runs
    and stages are shared, and which difference can be found: by what its runs in --output have shown, once there are
    some. --probe trains and asks a little, for minutes.
    """
    if is_study(spec):
        if set_ or show:
            raise UserError("--set and --resolved are for specs; a study has `set` for all of its rows")
        from vlmkit.cli.study_checks import check_study

        typer.echo(check_study(spec, output, seed_deviation / 100, discordant / 100, probe))
        return
    if probe:
        raise UserError("--probe is for studies; `vlmkit run` with a small number of steps tries a spec")
    experiment = _load(spec, set_)
    if show:
        typer.echo(resolved(experiment))
    benchmarks = _benchmarks(experiment.evaluation) if experiment.evaluation is not None else []
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: a check never asks a hub
    from vlmkit.summary import summarize

    typer.echo(_summary_text(summarize(experiment)))
    if benchmarks:
        typer.echo(f"measured on\n{columns(benchmarks)}")


def run(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Compose, train, evaluate and report. The same command continues an interrupted run."""
    experiment = _load(spec, set_)
    from vlmkit import runner

    finished = runner.run(experiment, output)
    if not rank():
        typer.echo(finished.summary())
        finished.check()


def train(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Train all stages, or go on where an interrupted run stopped."""
    experiment = _load(spec, set_)
    from vlmkit import runner

    folder = runner.train(experiment, output)
    if not rank():
        typer.echo(f"model: {folder.model}")


def import_checkpoint(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="Who released it: video-panda, eve, or a plugin's.")],
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Its folder: config.json and weights, in shards or one file.")
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The folder to make.")],
    with_: Annotated[
        list[str] | None,
        typer.Option("--with", metavar="NAME=PATH", help="Another checkpoint that the format is made of, repeatable."),
    ] = None,
    spec: Annotated[
        Path | None,
        typer.Option(metavar="SPEC", help="Whose model takes the weights; by default the format's own spec."),
    ] = None,
    tokenizer: Annotated[
        str | None, typer.Option(help="Folder or hub id; by default SRC's, or the spec's if it is on this machine.")
    ] = None,
) -> None:
    """Make a checkpoint of vlmkit out of a released one, and say what became of every key.

    Pickled weights are read as tensors only. A SPEC with another aligner takes what fits and draws the rest from its
    seed, e.g. to start Video-Panda from EVE.
    """
    experiment = load_spec(spec) if spec is not None else None
    if tokenizer is None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: only what is asked for is fetched
    from vlmkit import checkpoints
    from vlmkit.model.distillation import DISTILLATION

    def tell(message: str) -> None:
        typer.echo(message, err=True)

    done = checkpoints.import_checkpoint(
        form, source, destination, parts=_named(with_ or []), spec=experiment, tokenizer=tokenizer, progress=tell
    )
    lines = [
        f"{done.form.title} -> the model of {done.spec}",
        columns(done.rows()),
        ", ".join(f"{count} {state}" for state, count in done.counts().items()),
        *(f"note: {note}" for note in done.notes),
        *([f"the distillation head: {destination / DISTILLATION}"] if done.distillation else []),
        f"written: {destination} (every key: {destination / 'import.json'})",
    ]
    typer.echo("\n".join(lines))


def _named(values: list[str]) -> dict[str, str]:
    """Return `NAME=PATH` by names. A CheckpointError where it is something else, or one name is given twice."""
    found: dict[str, str] = {}
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise CheckpointError(f"--with: expected NAME=PATH, e.g. eva=eva_vit_g.pth, found {shown(value)}")
        if name in found:
            raise CheckpointError(f"--with: {name} is given twice, {found[name]} and {path}; leave one out")
        found[name] = path
    return found


def _load(spec: Path, overrides: list[str] | None) -> ExperimentSpec:
    return load_spec(spec, set=parse_overrides(overrides or []))


def _benchmarks(evaluation: EvaluationSpec) -> list[tuple[str, str, str]]:
    """Name, split and title of each. A DataError where the registry has no such benchmark or split."""
    from vlmkit.evaluation import find_benchmark

    found = []
    for use in evaluation.benchmarks:
        if use.harness is not None:
            found.append((use.result_name, f"by {use.harness.type}", use.harness.task))
            continue
        entry = find_benchmark(use.name, evaluation.benchmarks_path)
        found.append((use.result_name, f"split {entry.split(use.split)[0]}", entry.title))
    return found


def _summary_text(summary: Summary) -> str:
    parts = [(name, f"{number:,} parameters") for name, number in summary.parts.items()]
    tokens = [(f"{shape} video", f"{number:,} tokens") for shape, number in summary.tokens_by_shape.items()]
    frames = f"{summary.frames} {summary.shape('square')} frames"
    blocks = [
        f"{summary.name}: fits together",
        columns(parts),
        "tokens per video",
        columns(tokens),
        *([f"  and {plural(summary.prompts, 'prompt')}, which its layers read"] if summary.prompts else []),
        f"visual part: {large(summary.macs)} multiply-accumulates for {frames}",
    ]
    for number, stage in enumerate(summary.stages, 1):
        trains = [
            (name, f"{count:,} parameters", f"of {summary.parts[name]:,}")
            for name, count in stage.trains.items()
            if count
        ]
        rates = ", ".join(f"{part} {rate:g}" for part, rate in stage.rates.items())
        memory = ", ".join(f"{gpus}: {size / 2**30:.1f} GiB" for gpus, size in stage.memory.items())
        blocks += [
            f"stage {number}, {stage.name}: trains",
            columns(trains),
            f"  learning rates: {rates}",
            f"  estimated memory per GPU, by number of GPUs: {memory}",
        ]
    return "\n".join(blocks)
