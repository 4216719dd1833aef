"""`vlmkit train`: the training part of an experiment."""

from __future__ import annotations

from pathlib import Path

import typer

from vlmkit.cli.options import Overrides, RunsFolder, SpecFile
from vlmkit.launch import rank
from vlmkit.spec.load import load_spec, parse_overrides

__all__ = ["command"]


def command(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Train all stages, or go on where an interrupted run stopped."""
    experiment = load_spec(spec, set=parse_overrides(set_ or []))
    from vlmkit.experiment import train

    folder = train(experiment, output)
    if not rank():
        typer.echo(f"model: {folder.model}")
