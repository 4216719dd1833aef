"""`vlmkit design`: a design space is explored before anything is trained, and a study of its front written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vlmkit.cli.experiments import RunsFolder

__all__ = ["design"]


def design(
    space: Annotated[
        Path, typer.Argument(metavar="SPACE", help="A design-space file, e.g. specs/designs/moving-shapes-stab.yaml.")
    ],
    output: RunsFolder = Path("runs"),
) -> None:
    """Find the designs that are worth training: ranges of values, under limits, on the Pareto front of what they cost.

    Every combination, or a sample, is composed without weights, as `vlmkit check` does. Writes the designs
    (designs.md, .csv, .svg) and study.yaml, which `vlmkit check`, `vlmkit ablate` and `vlmkit rank` take.
    """
    from vlmkit.study.designs import load_space

    loaded = load_space(space)
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when transformers is imported: exploring never asks a hub
    from vlmkit.study.design_formats import design_text, write_designs
    from vlmkit.study.designs import explore
    from vlmkit.study.survivors import write_study

    explored = explore(loaded)
    folder = output / loaded.spec.design
    files = write_designs(explored, folder)
    study = write_study(explored, folder / "study.yaml")
    typer.echo(design_text(explored))
    typer.echo("\n".join(f"written: {file}" for file in files))
    typer.echo(f"to train them: vlmkit ablate {study}")
    typer.echo(f"and then, in which order: vlmkit rank {study}")
