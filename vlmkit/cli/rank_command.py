"""`vlmkit rank`: the order of the rows of a study, how stable it is, and whether another study has the same."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmkit.cli.experiments import RunsFolder
from vlmkit.study.rows import Study, load_study

__all__ = ["rank"]


def rank(
    study: Annotated[Path, typer.Argument(metavar="STUDY", help="A study file that `vlmkit ablate` has run.")],
    other: Annotated[
        Path | None,
        typer.Argument(metavar="OTHER", help="Another one with rows of the same names, e.g. with a longer training."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(metavar="BENCHMARK/METRIC", help="The column of scores; by default the first.")
    ] = None,
    output: RunsFolder = Path("runs"),
) -> None:
    """Rank the rows of a study: by their scores, with the interval of each rank and how often A is above B.

    Counts the chance of questions, by video, and of seeds. Of two studies it tells whether the first one, e.g. with a
    shorter training, orders the rows as the second one does: Kendall's tau, and the pairs that both tell apart.
    """
    from vlmkit.study.ranking_formats import comparison_text, ranking_text, write_ranking
    from vlmkit.study.study_folder import StudyFolder
    from vlmkit.study.study_ranking import compare_studies, rank_study

    def opened(file: Path) -> tuple[Study, StudyFolder]:
        loaded = load_study(file)
        return loaded, StudyFolder(output / loaded.spec.study)

    if other is not None:
        typer.echo(comparison_text(compare_studies(*opened(study), *opened(other), column)))
        return
    loaded, folder = opened(study)
    ranking = rank_study(loaded, folder, column)
    typer.echo(ranking_text(ranking))
    typer.echo("\n".join(f"written: {file}" for file in write_ranking(ranking, folder.path)))
