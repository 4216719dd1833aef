"""`vlmkit agreement`: judges on the same answers, and a judge against human labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlmkit.cli.finished_options import BenchmarkName, FurtherEntries, JudgeNames, LinesFile, Listed, about, write_lines
from vlmkit.errors import DataError
from vlmkit.evaluation.finished import find_finished
from vlmkit.evaluation.judge_agreement import Disagreement, JudgesCompared, compare_judges, judged_by, read_labels
from vlmkit.formatting import columns, count, figure, figures, one_line, plural

if TYPE_CHECKING:
    from vlmkit.api.judge import Verdict
    from vlmkit.evaluation.records import Scores
    from vlmkit.statistics.calibration import Calibration
    from vlmkit.statistics.intervals import Estimate

__all__ = ["agree"]

_WIDEST = 60
"""Characters of an answer in the list."""


def agree(
    place: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or its folder eval/BENCHMARK.")],
    benchmark: BenchmarkName = None,
    judge: JudgeNames = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="A few human labels: columns id and label, right or wrong.")
    ] = None,
    listed: Listed = 20,
    output: LinesFile = None,
    benchmarks_path: FurtherEntries = None,
) -> None:
    """Show how far judges agree on the same answers: Krippendorff's alpha, confusion, where they part.

    With --labels also how each judge compares with people, and the accuracy that their labels correct. No judge is
    asked: verdicts are those that `vlmkit judge` and `vlmkit eval` have stored.
    """
    found = find_finished(place, benchmark, benchmarks_path or [])
    people = None if labels is None else read_labels(labels)
    judges = judged_by(found, judge or [])
    if len(judges) < 2 and (people is None or output is not None):
        raise DataError(
            f"{found.folder}: expected the verdicts of two judges or more, found those of {judges[0].name} alone; run "
            "`vlmkit judge` with another judge, or compare this one with people: --labels FILE.csv, without --output"
        )
    typer.echo(about(found))
    typer.echo(columns(list(_scores({one.name: one.scores() for one in judges}))))
    shared = set.intersection(*(one.counted for one in judges))
    if any(one.counted != shared for one in judges):
        typer.echo(f"the {plural(len(shared), 'answer')} that all of them have scored")
        typer.echo(columns(list(_scores({one.name: one.scores(shared) for one in judges}))))
    if len(judges) > 1:
        compared = compare_judges(judges)
        typer.echo("\n".join(_agreement(compared, listed)))
        if output is not None:
            file = write_lines(output, map(_row, compared.disagreements))
            typer.echo(f"written: {file} ({plural(len(compared.disagreements), 'answer')})")
    if people is not None:
        for one in judges:
            typer.echo("\n".join(_calibration(one.name, *people.calibrate(one))))


def _scores(judges: Mapping[str, Scores]) -> Iterator[tuple[str, ...]]:
    metrics = list(dict.fromkeys(name for one in judges.values() for name in one.metrics))
    heads = [text for name in metrics for text in (name, "95% interval")]
    yield ("judge", *heads, "n", "unscored", "label contradicts score")
    for judge, one in judges.items():
        known = [one.metrics.get(name) for name in metrics]
        cells = [
            text
            for name, metric in zip(metrics, known, strict=True)
            for text in ((figure(metric.value, name), figures(metric.ci95, name)) if metric else ("none", ""))
        ]
        yield (judge, *cells, *map(count, (one.n, one.unscored, one.contradictions)))


def _agreement(compared: JudgesCompared, listed: int) -> Iterator[str]:
    for kind, found in compared.agreement.items():
        level = "nominal" if kind == "labels" else "interval"
        alpha = "not known, all are the same" if found.alpha is None else _estimate(found.alpha)
        yield f"{kind}: Krippendorff's alpha ({level}) {alpha}, {plural(found.answers, 'answer')} with two or more"
    for (first, second), table in compared.confusion.items():
        yield f"{first} (rows) and {second} (columns)"
        names = [label if isinstance(label, str) else f"{label:g}" for label in table.labels]
        rows = [(name, *map(count, row)) for name, row in zip(names, table.counts, strict=True)]
        yield columns([("", *names), *rows])
    parted = compared.disagreements
    yield f"{plural(len(parted), 'answer')} on which they part" if parted else "they part on no answer"
    for one in parted[:listed]:
        document = one.answer.document
        question, expected = one_line(document.question, _WIDEST), one_line(document.answer, 30)
        said = one_line(one.answer.answer.prediction or "", _WIDEST)
        yield f"{document.id}  {question}  expected: {expected}  answer: {said}"
        yield columns([(name, _said(verdict)) for name, verdict in one.said.items()])
    if listed < len(parted):
        yield f"{count(len(parted) - listed)} more; --list N shows more, --output FILE.jsonl writes all"


def _said(verdict: Verdict | None) -> str:
    if verdict is None:
        return "nothing"
    label = "" if verdict.correct is None else "right" if verdict.correct else "wrong"
    score = "" if verdict.score is None else f"score {verdict.score:g}"
    return ", ".join(filter(None, (label, score)))


def _row(one: Disagreement) -> Mapping[str, Any]:
    document = one.answer.document
    said = {
        name: None if verdict is None else {"correct": verdict.correct, "score": verdict.score, "raw": verdict.raw}
        for name, verdict in one.said.items()
    }
    own = {"id": document.id, "video": document.video, "question": document.question, "answer": document.answer}
    return {**own, "prediction": one.answer.answer.prediction, "judges": said}


def _calibration(name: str, found: Calibration, unused: int) -> Iterator[str]:
    yield f"{name} against {plural(found.labels, 'human label')}"
    rows = {
        "says the same": found.agreement,
        "finds right what is right (sensitivity)": found.sensitivity,
        "finds wrong what is wrong (specificity)": found.specificity,
        "accuracy by the judge": found.judged,
        "accuracy by the labels alone": found.labeled,
        "accuracy corrected by the labels": found.corrected,
    }
    yield columns(
        [(what, figure(one.value, "accuracy"), figures(one[1:], "accuracy")) if one else (what, "not known", "")
         for what, one in rows.items()]
    )  # fmt: skip
    yield "corrected as if the labeled answers were drawn at random from all"
    if unused:
        yield f"{plural(unused, 'label')} not used: of answers that {name} has not scored"


def _estimate(found: Estimate) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"
