"""`vlmkit compare`: two systems on the same questions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vlmkit.cli.finished_options import BenchmarkName, FurtherEntries, LinesFile, about, write_lines
from vlmkit.evaluation.comparing import Compared, compare
from vlmkit.evaluation.finished import find_finished
from vlmkit.evaluation.pairing import Pair
from vlmkit.evaluation.scores import ScoredAnswer
from vlmkit.formatting import columns, count, difference, differences, figure, one_line, plural

__all__ = ["compare_runs"]

_WIDEST = 60
"""Characters of a question or answer in the list."""


def compare_runs(
    first: Annotated[Path, typer.Argument(metavar="A", help="A run, or its folder eval/BENCHMARK.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another one.")],
    benchmark: BenchmarkName = None,
    metric: Annotated[str | None, typer.Option(help="By default accuracy, or the first that both have.")] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="NAME", help="By whose stored verdicts; by default the results'.")
    ] = None,
    across: Annotated[
        bool, typer.Option("--across", help="Also where protocol, judge, split, frames or questions differ.")
    ] = False,
    listed: Annotated[
        int, typer.Option("--list", min=0, metavar="N", help="How many questions that tell them apart are listed.")
    ] = 0,
    output: LinesFile = None,
    benchmarks_path: FurtherEntries = None,
) -> None:
    """Compare two systems question by question: difference with 95% interval, McNemar's test, where they part.

    Refused where the results differ in more than the system, unless --across, which is then written on every table.
    """
    more = benchmarks_path or []
    a, b = find_finished(first, benchmark, more), find_finished(second, benchmark, more)
    found = compare(a, b, metric, judge, across=across)
    label = f" (across: {', '.join(found.differing)})" if found.differing else ""
    typer.echo(f"A  {first}: {about(a)}\nB  {second}: {about(b)}")
    for name, (one, other) in found.differing.items():
        typer.echo(f"not the same: {name}, {one} (A) against {other} (B)")
    typer.echo(f"{found.metric}, A minus B{label}")
    typer.echo(columns([_HEAD, _row("all", found.whole, found.metric)]))
    for column, parts in found.parts.items():
        typer.echo(f"{found.metric} by {column.replace('_', ' ')}{label}")
        typer.echo(columns([_HEAD, *(_row(name, pair, found.metric) for name, pair in parts.items())]))
    if found.left_out:
        typer.echo(f"{plural(found.left_out, 'question')} left out: A, B or both have no score of it")
    if listed and found.discordant:
        typer.echo(f"questions that tell A and B apart{label}")
        typer.echo("\n".join(_listed(found, listed)))
    if output is not None:
        file = write_lines(output, (_line(pair, found) for pair in found.discordant))
        typer.echo(f"written: {file} ({plural(len(found.discordant), 'question')} that tell A and B apart)")
    typer.echo("\n".join(_conclusion(found, label)))


_HEAD = ("", "n", "A", "B", "difference", "95% interval", "A higher", "B higher", "equal", "McNemar p")


def _row(name: str, pair: Pair, metric: str) -> tuple[str, ...]:
    found = pair.paired
    apart = found.difference
    up, down = len(found.only_first), len(found.only_second)
    return (
        *(name, count(pair.n), figure(found.first, metric), figure(found.second, metric)),
        *(difference(apart.value, metric), differences(apart[1:], metric)),
        *(count(up), count(down), count(pair.n - up - down), f"{found.p:.3g}"),
    )


def _listed(found: Compared, listed: int) -> Iterator[str]:
    for a, b in found.discordant[:listed]:
        yield f"{a.document.id}  {one_line(a.document.question, _WIDEST)}  right: {one_line(a.document.answer, 30)}"
        said = [(figure(one.values[found.metric], found.metric), one.answer.prediction or "") for one in (a, b)]
        yield columns([(name, value, one_line(text, _WIDEST)) for name, (value, text) in zip("AB", said, strict=True)])
    if listed < len(found.discordant):
        yield f"{count(len(found.discordant) - listed)} more; --output FILE.jsonl writes all"


def _line(pair: tuple[ScoredAnswer, ScoredAnswer], found: Compared) -> Mapping[str, Any]:
    document = pair[0].document
    return {
        **{"id": document.id, "video": document.video, "type": document.type, "question": document.question},
        **{"options": list(document.options), "answer": document.answer, "metric": found.metric},
        **{name: {"prediction": one.answer.prediction, "value": one.values[found.metric]}
           for name, one in zip("AB", pair, strict=True)},
        **({"across": dict(found.differing)} if found.differing else {}),
    }  # fmt: skip


def _conclusion(found: Compared, label: str) -> Iterator[str]:
    """Yield what the comparison tells."""
    apart, metric = found.whole.paired.difference, found.metric
    unit = " points" if metric == "accuracy" else ""
    size, interval = difference(abs(apart.value), metric).lstrip("+"), differences(apart[1:], metric)
    where = "higher" if apart.value > 0 else "lower"
    if apart.low > 0 or apart.high < 0:
        yield f"{metric} of A is {where} than that of B by {size}{unit}, 95% interval {interval}{label}"
        return
    said = f"{size}{unit} {where} than that of B" if apart.value else "as high as that of B"
    yield f"no difference can be told: {metric} of A is {said}, 95% interval {interval}{label}"
    of = plural(found.whole.n, "question")
    if (needed := found.whole.questions_needed()) and needed > found.whole.n:
        more = count(needed - found.whole.n)
        yield f"to find a difference of {size}{unit} in 4 of 5 cases, {more} more questions like these would be needed"
    if least := found.whole.detectable():
        yield f"{of} like these find {difference(least, metric).lstrip('+')}{unit} in 4 of 5 cases"
