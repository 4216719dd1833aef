"""`vlmkit rescore`: the same answers under several protocols, and which questions flip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Annotated, Any

import typer

from vlmkit.api.document import Document
from vlmkit.benchmarks.protocols import Rules
from vlmkit.cli.finished_options import BenchmarkName, FurtherEntries, LinesFile, Listed, about, write_lines
from vlmkit.errors import UserError
from vlmkit.evaluation.finished import find_finished
from vlmkit.evaluation.records import Scores
from vlmkit.evaluation.rescoring import Flip, flip_counts, flips, protocols_of, rescore
from vlmkit.evaluation.scores import primary_metric, summarize
from vlmkit.formatting import columns, count, figure, figures, one_line, plural

__all__ = ["rescore_answers"]

_WIDEST = 60
"""Characters of an answer in the list."""


def rescore_answers(
    place: Annotated[
        Path, typer.Argument(metavar="RUN|FILE", help="A run, its folder eval/BENCHMARK, or a predictions.jsonl.")
    ],
    benchmark: BenchmarkName = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", metavar="NAME,…", help="Protocols of the entry; by default all. Repeatable."),
    ] = None,
    judge: Annotated[
        str | None, typer.Option("--judge", metavar="NAME", help="By whose stored verdicts; by default the result's.")
    ] = None,
    listed: Listed = 20,
    output: LinesFile = None,
    benchmarks_path: FurtherEntries = None,
) -> None:
    """Score the same answers under several protocols, and show which questions flip and why.

    Asks no model and no judge: what a protocol leaves to a judge is unscored unless its verdict is stored.
    """
    found = find_finished(place, benchmark, benchmarks_path or [])
    names = [name for some in protocol or [] for name in some.split(",") if name]
    if repeated := {name for name in names if names.count(name) > 1}:
        raise UserError(f"--protocol: {min(repeated)!r} stands there twice; name each once")
    rules = protocols_of(found.benchmark, names)
    judges = {name: found.judge(one, judge) for name, one in rules.items()}
    scored = {name: rescore(found.folder, found.answers, one, judges[name]) for name, one in rules.items()}
    scores = {name: summarize(scored[name], one, found.benchmark.cluster) for name, one in rules.items()}
    typer.echo(about(found))
    if found.result and found.result.decoding:
        typer.echo(f"asked in the way of {found.result.protocol}; read and scored in the way of each protocol below")
    if known := next(filter(None, judges.values()), None):
        typer.echo(f"what a protocol leaves to a judge: by the stored verdicts of {known}")
    elif judge:
        typer.echo(f"--judge {judge} changes nothing: these protocols leave no answer to a judge")
    typer.echo(columns(list(_table(rules, scores))))
    if any(one.unscored for one in scores.values()):
        typer.echo("unscored: no verdict on the answer is stored; `vlmkit judge` asks for it")
    if len(scored) > 1:
        flipped = flips(scored)
        typer.echo("\n".join(_flipped(flipped, flip_counts(scored), list(scored), listed)))
        if output is not None:
            file = write_lines(output, map(_row, flipped))
            typer.echo(f"written: {file} ({plural(len(flipped), 'question')})")


def _table(rules: Mapping[str, Rules], scores: Mapping[str, Scores]) -> Iterator[tuple[str, ...]]:
    counts = ("unreadable", "dropped", "drawn", "unscored", "skipped")
    yield (
        "protocol",
        "metric",
        "value",
        "95% interval",
        "n",
        *("at random" if one == "drawn" else one for one in counts),
    )
    for name, one in scores.items():
        metric = primary_metric(rules[name].protocol.metrics) or ""
        found = one.metrics.get(metric)
        value = (figure(found.value, metric), figures(found.ci95, metric)) if found else ("none", "")
        yield (
            rules[name].protocol.label,
            metric,
            *value,
            count(one.n),
            *(count(getattr(one, kind)) for kind in counts),
        )


def _flipped(
    flipped: Sequence[Flip], counts: Mapping[tuple[str, str], int], names: Sequence[str], listed: int
) -> Iterator[str]:
    if not flipped:
        yield "no question is scored differently"
        return
    yield f"{plural(len(flipped), 'question')} scored differently" + (
        ", by each two protocols:" if len(names) > 2 else ""
    )
    if len(names) > 2:
        cells = [[count(counts[a, b]) if (a, b) in counts else "" for b in names[1:]] for a in names[:-1]]
        yield columns([("", *names[1:]), *((a, *row) for a, row in zip(names, cells, strict=False))])
    for flip in flipped[:listed]:
        document, said = flip.answer.document, flip.answer.prediction or ""
        yield f"{document.id}  right: {_right(document)}  answer: {one_line(said, _WIDEST) or '(nothing)'}"
        yield columns(list(flip.told().items()))
    if listed < len(flipped):
        yield f"{count(len(flipped) - listed)} more; --list N shows more, --output FILE.jsonl writes all"


def _right(document: Document) -> str:
    if document.correct is not None:
        return f"{ascii_uppercase[document.correct]} {one_line(document.options[document.correct], 30)}"
    return one_line(document.answer, 30) or "not public"


def _row(flip: Flip) -> dict[str, Any]:
    answer = flip.answer
    protocols = {
        name: {"told": told, "outcome": one.outcome, "values": dict(one.values)}
        for (name, told), one in zip(flip.told().items(), flip.scored.values(), strict=True)
    }
    own = {"id": answer.id, "video": answer.video, "question": answer.question, "options": answer.options}
    return {**own, "correct": answer.correct, "answer": answer.answer, "prediction": answer.prediction,
            "protocols": protocols}  # fmt: skip
