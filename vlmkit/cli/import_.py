"""`vlmkit import`: released checkpoints of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vlmkit.formatting import columns
from vlmkit.spec.loading import load_spec

__all__ = ["command"]


def command(
    form: Annotated[str, typer.Argument(metavar="FORMAT", help="Who released it: video-panda, eve, or a plugin's.")],
    source: Annotated[
        Path, typer.Argument(metavar="SRC", help="Its folder: config.json and weights, in shards or one file.")
    ],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The folder to make.")],
    spec: Annotated[
        Path | None,
        typer.Option("--spec", metavar="SPEC", help="Whose model takes the weights; by default the format's own spec."),
    ] = None,
    tokenizer: Annotated[
        str | None,
        typer.Option(
            "--tokenizer",
            metavar="PATH",
            help="Folder or hub id; by default SRC's, otherwise the spec's if it is on this machine.",
        ),
    ] = None,
) -> None:
    """Make a checkpoint of vlmkit out of a released one, and say what became of every key.

    Pickled weights are read as tensors only. A SPEC with another aligner takes what fits and draws the rest from its
    seed, e.g. to start Video-Panda from EVE.
    """
    experiment = load_spec(spec) if spec is not None else None
    if tokenizer is None:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: only what is asked for is fetched
    from vlmkit.checkpoints import import_checkpoint
    from vlmkit.model.distillation import DISTILLATION

    report = import_checkpoint(
        form,
        source,
        destination,
        spec=experiment,
        tokenizer=tokenizer,
        progress=lambda message: typer.echo(message, err=True),
    )
    typer.echo(f"{report.form.title} -> the model of {report.spec}")
    typer.echo(columns(report.rows()))
    typer.echo(", ".join(f"{count} {state}" for state, count in report.counts().items()))
    for note in report.notes:
        typer.echo(f"note: {note}")
    if report.distillation:
        typer.echo(f"the distillation head: {destination / DISTILLATION}")
    typer.echo(f"written: {destination} (every key: {destination / 'import.json'})")
