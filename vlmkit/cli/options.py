"""Arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Overrides", "RunsFolder", "SpecFile"]

SpecFile = Annotated[Path, typer.Argument(metavar="SPEC", help="A spec file, e.g. specs/quickstart.yaml.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change one value, e.g. model.aligner.fsra=false. Repeatable."),
]
RunsFolder = Annotated[Path, typer.Option("--output", "-o", help="The folder that holds the run folders.")]
