"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Overrides", "RunsFolder", "SpecFile", "table"]

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file, e.g. specs/quickstart.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, e.g. model.aligner.fsra=false. Repeatable."),
]
RunsFolder = Annotated[Path, typer.Option("--output", "-o", help="The folder that holds the run folders.")]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in aligned columns, set in."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
