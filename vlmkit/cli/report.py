"""`vlmkit report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmkit.errors import RunError

__all__ = ["command"]


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, e.g. runs/quickstart.")],
) -> None:
    """Write the HTML page of a run, finished or not, from what its folder holds."""
    if not (run / "spec.yaml").is_file():
        found = "there is no spec.yaml in it" if run.is_dir() else "there is no such folder"
        raise RunError(f"{run}: expected a run folder, but {found}; give the folder of a run, e.g. runs/quickstart")
    from vlmkit.report import write_report

    typer.echo(f"report: {write_report(run)}")
