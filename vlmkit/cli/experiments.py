"""`vlmkit run`, `train`, `eval` and `report`: what fills and shows a run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmkit.cli.options import Overrides, RunsFolder, SpecFile
from vlmkit.runtime import rank
from vlmkit.spec.loading import load_spec, parse_overrides

__all__ = ["evaluate_only", "run_experiment", "train_only", "write_page"]


def run_experiment(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Compose, train, evaluate and report. The same command continues an interrupted run."""
    experiment = load_spec(spec, set=parse_overrides(set_ or []))
    from vlmkit.runner import run

    finished = run(experiment, output)
    if not rank():
        typer.echo(finished.summary())


def train_only(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Train all stages, or go on where an interrupted run stopped."""
    experiment = load_spec(spec, set=parse_overrides(set_ or []))
    from vlmkit.runner import train

    folder = train(experiment, output)
    if not rank():
        typer.echo(f"model: {folder.model}")


def evaluate_only(spec: SpecFile, set_: Overrides = None, output: RunsFolder = Path("runs")) -> None:
    """Evaluate the trained model of a run on the spec's benchmarks."""
    experiment = load_spec(spec, set=parse_overrides(set_ or []))
    from vlmkit.runner import evaluate

    finished = evaluate(experiment, output)
    if not rank():
        typer.echo(finished.summary())


def write_page(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, e.g. runs/quickstart.")]) -> None:
    """Write the HTML page of a run, finished or not, from what its folder holds."""
    from vlmkit.report import write_report

    typer.echo(f"report: {write_report(run)}")
