"""A ranking for a reader: as text and Markdown, and score against cost as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from vlmkit.files import write_atomic
from vlmkit.formatting import (
    EN_DASH,
    columns,
    difference,
    figure,
    figures,
    is_accuracy,
    large,
    markdown_table,
    markdown_text,
    plural,
)
from vlmkit.study.front_figure import FrontPanel, PlottedDesign, front_figure
from vlmkit.study.rows import BASE
from vlmkit.study.study_ranking import ComparedStudies, RankedRow, StudyRanking

__all__ = ["comparison_text", "ranking_text", "write_ranking"]

_WIDEST = 20
"""Rows of which all pairs are shown."""
_FRONT = "*"


def ranking_text(ranking: StudyRanking) -> str:
    """Return the rows with their ranks, and how often each is above each other one."""
    blocks = [*_head(ranking), columns([_titles(ranking), *(_row(ranking, place) for place in _places(ranking))])]
    if len(ranking.rows) <= _WIDEST:
        blocks += [f"{_PAIRS}, in percent:", columns(list(_pairs(ranking)))]
    return "\n".join([*blocks, *_notes(ranking)])


_PAIRS = "How often the row is above that of the column, were questions and seeds drawn anew"


def _places(ranking: StudyRanking) -> range:
    return range(len(ranking.rows))


def _head(ranking: StudyRanking) -> Iterator[str]:
    column = ranking.measured.column
    seeds = sorted({row.seeds for row in ranking.rows})
    seeds_said = plural(seeds[0], "seed") if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]} seeds"
    of = f"{plural(len(ranking.rows), 'row')}, {seeds_said}, {plural(column.questions, 'question')}"
    yield f"{ranking.study.spec.study}, {column.benchmark} {column.metric}: {of}"


def _titles(ranking: StudyRanking) -> tuple[str, ...]:
    unit = ", %" if is_accuracy(ranking.measured.column.metric) else ""
    costs = ("parameters", "tokens", "multiply-accumulates")
    return ("rank", "95%", "row", f"{ranking.measured.column.metric}{unit}", "95%", "above the next", *costs, "front")


def _row(ranking: StudyRanking, place: int) -> tuple[str, ...]:
    row, metric = ranking.rows[place], ranking.measured.column.metric
    score = figure(row.score.value, metric).rstrip("%"), figures(row.score.ci95, metric).rstrip("%")
    above = f"{ranking.above[place][place + 1]:.0%}" if place + 1 < len(ranking.rows) else ""
    summary = row.summary
    costs = ("", "", "")
    if summary is not None:
        costs = f"{summary.parts['aligner']:,}", f"{summary.tokens['square']:,}", large(summary.macs)
    return (str(row.rank), _interval(row), row.label, *score, above, *costs, _FRONT if row.on_front else "")


def _interval(row: RankedRow) -> str:
    low, high = row.rank_ci95
    return str(low) if low == high else f"{low}{EN_DASH}{high}"


def _pairs(ranking: StudyRanking) -> Iterator[tuple[str, ...]]:
    yield "", *(str(place + 1) for place in _places(ranking))
    for place, shares in enumerate(ranking.above):
        cells = [EN_DASH if place == other else f"{100 * share:.0f}" for other, share in enumerate(shares)]
        yield f"{place + 1} {ranking.rows[place].label}", *cells


def _notes(ranking: StudyRanking) -> Iterator[str]:
    pairs = f"{ranking.significant:,} of {plural(ranking.pairs, 'pair')} differ significantly"
    yield f"{pairs}: the 95% interval of the difference leaves out 0"
    if any(row.on_front for row in ranking.rows):
        costs = "parameters, tokens and multiply-accumulates"
        yield f"front ({_FRONT}): no other row has as high a score with as few {costs}"
    if all(row.seeds == 1 for row in ranking.rows):
        yield "One training each: the chance of seeds is not counted, and the order is less sure than these numbers say"
    shared = [", ".join(run.rows) for run in ranking.study.distinct if len(run.rows) > 1]
    if shared:
        yield f"Rows that are the same experiment are ranked once: {'; '.join(shared)}"


def comparison_text(compared: ComparedStudies) -> str:
    """Return whether two studies order their rows alike."""
    return "\n".join(_compared(compared))


def _compared(compared: ComparedStudies) -> Iterator[str]:
    first, second, found = compared.first, compared.second, compared.agreement
    for name, ranking in (("A", first), ("B", second)):
        pairs = f"{ranking.significant:,} of {plural(ranking.pairs, 'pair')} differ significantly"
        yield f"{name}  {''.join(_head(ranking))}, {pairs} ({ranking.study.file})"
    yield from _not_the_same(compared)
    in_first = {row.name: row for row in first.rows}
    cells = [(row.label, *_placed(first, in_first[row.name]), *_placed(second, row)) for row in second.rows]
    metrics = [ranking.measured.column.metric for ranking in (first, second)]
    yield columns([("row", "rank in A", "95%", metrics[0], "rank in B", "95%", metrics[1]), *cells])
    tau, silent = found.tau, found.significant - found.same - found.opposite
    meaning = "1: the same order, -1: the opposite one"
    yield f"Kendall's tau is {tau.value:.2f}, 95% interval {tau.low:.2f} to {tau.high:.2f} ({meaning})"
    yield (
        f"in B {found.significant:,} of {plural(found.pairs, 'pair')} differ significantly; of them, in A "
        f"{found.same:,} in the same direction, {found.opposite:,} in the other one, {silent:,} not significantly"
    )
    points = " points" if is_accuracy(metrics[1]) else ""
    lost, most = (difference(value, metrics[1]).lstrip("+") for value in (found.loss.value, found.loss.high))
    best = first.rows[0].label
    yield f"who takes the best row of A, {best}, loses {lost}{points} in B, at most {most} in 95 of 100 cases"


def _placed(ranking: StudyRanking, row: RankedRow) -> tuple[str, str, str]:
    return str(row.rank), _interval(row), figure(row.score.value, ranking.measured.column.metric)


def _not_the_same(compared: ComparedStudies) -> Iterator[str]:
    columns_ = [ranking.measured.column for ranking in (compared.first, compared.second)]
    for what in ("benchmark", "metric", "protocol", "judge", "split"):
        one, other = (getattr(column, what) for column in columns_)
        if one != other:
            yield f"not the same: {what}, {one} (A) against {other} (B)"
    if not compared.same_questions:
        yield "not the same questions were answered by all rows of A and of B: the two are drawn apart"


def write_ranking(ranking: StudyRanking, folder: Path) -> list[Path]:
    """Write ranking.md and, where it is known what the rows cost, ranking.svg; return the files."""
    files = [folder / "ranking.md"]
    write_atomic(files[0], _markdown(ranking))
    if any(row.summary is not None for row in ranking.rows):
        files.append(folder / "ranking.svg")
        write_atomic(files[-1], _figure(ranking))
    return files


def _markdown(ranking: StudyRanking) -> str:
    spec = ranking.study.spec
    main = _table([_titles(ranking), *(_row(ranking, place) for place in _places(ranking))], left=3)
    pairs = ["", f"{_PAIRS}, in percent:", "", _table(list(_pairs(ranking)))] if len(ranking.rows) <= _WIDEST else []
    said = [f"- {markdown_text(line)}." for line in [*_head(ranking), *_notes(ranking)]]
    return "\n".join([f"# {markdown_text(spec.title or spec.study)}", "", main, *pairs, "", *said]) + "\n"


def _table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    head, *body = [list(map(markdown_text, row)) for row in rows]
    return markdown_table(head, body, left)


def _figure(ranking: StudyRanking) -> str:
    metric = ranking.measured.column.metric
    scale, unit = (100, ", %") if is_accuracy(metric) else (1, "")
    panels = []
    for cost in ("parameters", "tokens", "multiply-accumulates"):
        designs = []
        for row in ranking.rows:
            if row.summary is None:
                continue
            costs = {"parameters": row.summary.visual_parameters, "tokens": row.summary.tokens["square"]}
            low, high = row.score.ci95
            designs.append(
                PlottedDesign(
                    x=costs.get(cost, row.summary.macs),
                    y=scale * row.score.value,
                    label=row.label,
                    on_front=row.on_front,
                    is_base=row.name == BASE,
                    interval=(scale * low, scale * high),
                )
            )
        panels.append(FrontPanel(cost, f"{metric}{unit}", designs))
    return front_figure(panels, f"{ranking.study.spec.study}-ranking")
