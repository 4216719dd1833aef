"""`vlmkit run`: the whole experiment."""

from __future__ import annotations

from pathlib import Path

import typer

from vlmkit.cli.options import Overrides, RunsFolder, SpecFile
from vlmkit.launch import rank
from vlmkit.spec.load import load_spec, parse_overrides

__all__ = ["command"]


def command(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Compose, train, evaluate and report. The same command continues an interrupted run."""
    experiment = load_spec(spec, set=parse_overrides(set_ or []))
    from vlmkit.experiment import run

    finished = run(experiment, output)
    if not rank():
        typer.echo(finished.summary())
