"""`vlmkit report`: the HTML page of a run, the comparison page of several runs or of a study, and a paper's figure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmkit.cli.experiments import RunsFolder
from vlmkit.errors import UserError
from vlmkit.files import is_folder
from vlmkit.spec.study_files import is_study
from vlmkit.study.rows import load_study

__all__ = ["report"]


def report(
    places: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN [RUN …] | STUDY", help="Run folders, e.g. runs/quickstart, or a study file."),
    ] = None,
    figure: Annotated[
        int | None,
        typer.Option(metavar="N", help="Instead, this figure of arXiv:2412.18609: 1, accuracy against size."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            metavar="FILE",
            help="Where the page goes; by default comparison.html, figure-1.html, and of a study its study.html.",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="The most questions that a comparison shows one by one.")] = 200,
    output: RunsFolder = Path("runs"),
) -> None:
    """Write the HTML page of a run, finished or not; of several runs or a study the page that compares them.

    The first run, or the base of the study, is what the others are compared with. Each page is one file that needs no
    network. A figure of the paper is made from shipped specs and published scores, as a page and as SVG.
    """
    from vlmkit.report import write_comparison, write_figure, write_report, write_study_page

    if figure is not None:
        if places:
            raise UserError(
                f"--figure {figure} takes no runs: it is made from shipped specs and published scores alone; leave "
                f"{places[0]} out, or leave --figure out to compare runs with each other"
            )
        page, svg = write_figure(figure, to or Path(f"figure-{figure}.html"))
        typer.echo(f"report: {page}, {svg}")
        return
    if not places:
        raise UserError("expected run folders, a study file, or --figure 1; `vlmkit report --help` explains each")
    first = places[0]
    if found := next((place for place in places if is_folder(place / "specs")), None):
        raise UserError(
            f"{found}: expected a run folder or a study file, found the folder of a study; give the study's file, "
            "or folders of runs in it"
        )
    if len(places) == 1 and not is_folder(first) and first.suffix and is_study(first):
        from vlmkit.study.study_folder import StudyFolder

        study = load_study(first)
        written = write_study_page(study, StudyFolder(output / study.spec.study), to, samples)
    elif len(places) > 1:
        written = write_comparison(places, to or Path("comparison.html"), samples)
    elif to is not None:
        raise UserError("--to is for comparisons; the page of a single run is report.html in its folder")
    else:
        written = write_report(first)
    typer.echo(f"report: {written}")
