"""`vlmkit report`: the page of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["command"]


def command(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, e.g. runs/quickstart.")],
) -> None:
    """Write the HTML page of a run, finished or not, from what its folder holds."""
    from vlmkit.report import write_report

    typer.echo(f"report: {write_report(run)}")
