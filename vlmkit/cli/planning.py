"""`vlmkit power`: how many questions and seeds tell two systems apart."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from vlmkit.errors import UserError
from vlmkit.formatting import columns, count, plural
from vlmkit.statistics.power import Comparison

__all__ = ["power"]

_DISCORDANT = (5.0, 10.0, 20.0, 30.0)
"""Percent of the questions that one of two systems answers alone, where none is given."""
_NEVER = "no number"
"""Of questions or seeds: the difference is impossible, or hidden by the other source of chance."""


def power(
    questions: Annotated[int | None, typer.Option(min=1, help="Questions: which difference do they detect?")] = None,
    difference: Annotated[
        float | None, typer.Option(min=0.01, max=100, help="Points (of 100): how many questions detect them?")
    ] = None,
    accuracy: Annotated[float, typer.Option(min=0, max=100, help="Accuracy of the weaker system, percent.")] = 50,
    discordant: Annotated[
        list[float] | None,
        typer.Option(min=0.01, max=100, help="Percent of questions that one system alone answers; several times."),
    ] = None,
    per_video: Annotated[float, typer.Option(min=1, help="Questions per video.")] = 1,
    design_effect: Annotated[float, typer.Option(min=0.01, help="Clustered variance over the independent one.")] = 1,
    seed_deviation: Annotated[float, typer.Option(min=0, help="Points: standard deviation of scores over seeds.")] = 0,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each system, averaged.")] = 1,
    at: Annotated[float, typer.Option("--power", min=0.05, max=0.999, help="How likely it has to be found.")] = 0.8,
) -> None:
    """How many questions and seeds detect how many points between two systems, and the other way round.

    Detected: the 95% interval of the difference leaves out 0. Give --questions, --difference or both.
    """
    if questions is None and difference is None:
        raise UserError("`vlmkit power` needs --questions N, --difference POINTS, or both")
    plan = Comparison(accuracy / 100, None, design_effect, seed_deviation / 100, seeds, at)
    rows = [
        {"comparison": name, **dict(_cells(replace(plan, discordant=share), questions, difference, per_video))}
        for name, share in _comparisons(accuracy, discordant)
    ]
    assumed = [f"accuracy {accuracy:g}%"]
    if per_video > 1 or design_effect != 1:
        assumed.append(f"{per_video:g} per video, design effect {design_effect:g}")
    if seed_deviation:
        assumed.append(f"{plural(seeds, 'seed')} with a deviation of {seed_deviation:g} points")
    typer.echo(f"{', '.join(assumed)}; found with probability {at:g} at the 5% level, in points:")
    typer.echo(columns([tuple(rows[0]), *(tuple(row.values()) for row in rows)]))


def _comparisons(accuracy: float, discordant: list[float] | None) -> Iterator[tuple[str, float | None]]:
    """Names of comparisons, and the share of questions that one system alone answers; None where questions differ."""
    yield "different questions", None
    independent = accuracy * (100 - accuracy) / 50  # percent, of two systems whose mistakes have nothing in common
    for share in discordant or [share for share in _DISCORDANT if share < independent]:
        yield f"same questions, {share:g}% answered by one alone", share / 100


def _cells(
    plan: Comparison, questions: int | None, difference: float | None, per_video: float
) -> Iterator[tuple[str, str]]:
    """Column names and their content for one comparison."""
    if questions is not None:
        found = plan.detectable(questions)
        yield f"{count(questions)} questions detect", "nothing" if found is None else f"{100 * found:.2f}"
    if difference is not None:
        needed = plan.questions(difference / 100)
        yield f"questions for {difference:g}", _NEVER if needed is None else count(needed)
        if per_video > 1:
            yield "videos", "" if needed is None else count(math.ceil(needed / per_video))
    if questions is not None and difference is not None:
        yield "power of both", f"{plan.power_of(difference / 100, questions):.2f}"
        if plan.seed_deviation:
            seeds = plan.seeds_needed(difference / 100, questions)
            yield "seeds for both", _NEVER if seeds is None else count(seeds)
