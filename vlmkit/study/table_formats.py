"""The table of a study as Markdown, LaTeX (booktabs) and CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

from vlmkit.files import write_atomic
from vlmkit.formatting import (
    EN_DASH,
    difference,
    differences,
    figure,
    figures,
    is_accuracy,
    large,
    markdown_table,
    markdown_text,
)
from vlmkit.json_files import write_record
from vlmkit.study.table_records import Cell, Column, StudyTable, TableRow

__all__ = ["captions", "ended_early", "markdown_scores", "write_tables"]

_NONE = EN_DASH


def captions(table: StudyTable, costs: bool = True) -> list[str]:
    """Return what a reader has to know to read the table, or its scores without its costs, one sentence or two each."""
    said = []
    for column in table.columns.values():
        judged = "" if column.judge == "none" else f", judge {column.judge}"
        said.append(
            f"{column.benchmark}: {column.metric} of {column.questions:,} questions, split {column.split}, protocol "
            f"{column.protocol}{judged}"
        )
    counts = [len(cell.seeds) for row in table.rows for cell in row.cells.values()]
    if max(counts, default=0) > 1:
        known = "pooled over all rows" if table.seed_variance == "pooled" else "of each row alone"
        said.append(
            f"Means over {_range(counts)} seeds. 95% intervals count the choice of questions, by video, and that of "
            f"seeds, whose variance is {known}"
        )
    else:
        said.append("One training each: intervals count the choice of questions, by video, and not that of seeds")
    if table.stop_when is not None:
        said.append(_stopped(table))
    others = len([row for row in table.rows if any(cell.difference for cell in row.cells.values())])
    corrected = f", corrected by Holm for {others} rows" if table.correction == "holm" and others > 1 else ""
    base = table.base().label
    paired = "question by question" + (" and seed by seed" if max(counts, default=0) > 1 else "")
    said.append(f"Differences are to {base!r}, {paired}; p is two-sided{corrected}")
    if table.source:
        said.append(f"Published scores, of another judge, split or number of frames unless it says so: {table.source}")
    if costs and table.timed_on:
        said.append(f"Milliseconds are those of the visual part for one square video, medians, {table.timed_on}")
    incomplete = [f"{row.label} ({len(row.missing)})" for row in table.rows if row.missing]
    if incomplete:
        said.append(f"Not all seeds have a result: {', '.join(incomplete)}")
    return said


def _range(counts: list[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least}" if least == most else f"{least} to {most}"


def _stopped(table: StudyTable) -> str:
    rows = [f"{row.label} ({ended_early(table, row)})" for row in table.rows if row.stopped]
    ended = f" Ended early: {', '.join(rows)}" if rows else " None ended early"
    return f"Rows could end early: intervals and p hold after every seed at once, and are wider for it.{ended}"


def ended_early(table: StudyTable, row: TableRow) -> str:
    """Return why a row was given no more seeds, e.g. `significant difference`; empty where it was not ended early."""
    if row.stopped != "small":
        return "significant difference" if row.stopped else ""
    unit = " points" if is_accuracy(table.columns[table.decided_by].metric) else ""
    return f"within {table.stop_when:g}{unit} of the base"


def _markdown(table: StudyTable) -> str:
    return f"# {markdown_text(table.title or table.study)}\n\n{markdown_scores(table)}\n"


def markdown_scores(table: StudyTable) -> str:
    """Return the table as Markdown, with what a reader has to know below it, without its title."""
    head = list(map(markdown_text, _head(table)))
    rows = [[markdown_text(label), *cells] for label, *cells in (_row(table, row) for row in table.rows)]
    said = [f"- {markdown_text(line)}." for line in captions(table)]
    return "\n".join([markdown_table(head, rows), "", *said])


def _latex(table: StudyTable) -> str:
    head, rows = _head(table), [_row(table, row) for row in table.rows]
    body = [f"    {' & '.join(map(_escaped, cells))} \\\\" for cells in rows]
    return "\n".join([
        "% needs \\usepackage{booktabs}",
        "\\begin{table}",
        "  \\centering",
        f"  \\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        "    \\toprule",
        f"    {' & '.join(map(_escaped, head))} \\\\",
        "    \\midrule",
        *body,
        "    \\bottomrule",
        "  \\end{tabular}",
        f"  \\caption{{{_escaped(table.title or table.study)}. {_escaped('. '.join(captions(table)))}.}}",
        f"  \\label{{tab:{table.study}}}",
        "\\end{table}",
        "",
    ])  # fmt: skip


_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", EN_DASH: "--", "<": r"\textless{}", ">": r"\textgreater{}",
}  # fmt: skip


def _escaped(text: str) -> str:
    """Return text that LaTeX sets as it is. The `\\` of the row before would take a first `[` or `*` for its own."""
    text = " ".join(text.split())
    return "{}" * text.startswith(("[", "*")) + "".join(_LATEX.get(letter, letter) for letter in text)


_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def _csv(table: StudyTable) -> str:
    """Return one line per row and column of scores, numbers as they are.

    A label that a spreadsheet would take for a formula, such as `+ FSRA` or `=1+1`, has an apostrophe before it.
    """
    head = "row label benchmark metric score low high seeds seed_deviation difference difference_low difference_high"
    head += " p p_corrected published parameters tokens macs milliseconds"
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(head.split())
    for row in table.rows:
        for name, cell in row.cells.items():
            column, found = table.columns[name], cell.difference
            more = [found.value, *found.ci95, found.p, found.p_corrected] if found else [""] * 5
            costs = [row.parameters, row.tokens, row.macs, row.milliseconds]
            label = "'" * row.label.startswith(_FORMULA) + row.label
            writer.writerow(
                [row.name, label, column.benchmark, column.metric, cell.score.value, *cell.score.ci95]
                + [len(cell.seeds), cell.seed_deviation, *more, "" if cell.published is None else cell.published]
                + ["" if value is None else value for value in costs]
            )
    return out.getvalue()


def _head(table: StudyTable) -> list[str]:
    head = [""]
    for name, column in table.columns.items():
        unit = ", %" if is_accuracy(column.metric) else ""
        head += [f"{column.benchmark} {column.metric}{unit}", "difference"]
        if _has_published(table, name):
            head.append("published")
    return [*head, *(title for title, _ in _costs(table))]


def _row(table: StudyTable, row: TableRow) -> list[str]:
    cells = [row.label]
    for name, column in table.columns.items():
        cell = row.cells.get(name)
        cells += [_score(cell, column), _difference(cell, column)]
        if _has_published(table, name):
            said = cell.published if cell else None
            cells.append(_NONE if said is None else figure(said, column.metric))
    return [*cells, *(show(row) for _, show in _costs(table))]


def _has_published(table: StudyTable, name: str) -> bool:
    return any(name in row.cells and row.cells[name].published is not None for row in table.rows)


def _score(cell: Cell | None, column: Column) -> str:
    if cell is None:
        return _NONE
    return f"{figure(cell.score.value, column.metric)} [{figures(cell.score.ci95, column.metric)}]"


def _difference(cell: Cell | None, column: Column) -> str:
    """Return the difference with its interval and p; a significant one has a star."""
    if cell is None or cell.difference is None:
        return _NONE
    found = cell.difference
    p = f"p < {0.001}" if found.p_corrected < 0.001 else f"p = {found.p_corrected:.3f}"
    star = "*" if found.is_found else ""
    value, ends = difference(found.value, column.metric), differences(found.ci95, column.metric)
    return f"{value}{star} [{ends}], {p}"


def _costs(table: StudyTable) -> Iterator[tuple[str, Callable[[TableRow], str]]]:
    """Yield the columns of what a row costs, where any row tells."""
    kinds: list[tuple[str, Callable[[TableRow], float | None], Callable[[float], str]]] = [
        ("parameters", lambda row: row.parameters, large),
        ("tokens", lambda row: row.tokens, lambda value: f"{value:,.0f}"),
        ("multiply-accumulates", lambda row: row.macs, large),
        ("ms", lambda row: row.milliseconds, lambda value: f"{value:.3g}"),
    ]
    for title, get, show in kinds:
        if any(get(row) is not None for row in table.rows):
            yield title, lambda row, get=get, show=show: _NONE if (value := get(row)) is None else show(value)  # type: ignore[misc]


_FORMATS: dict[str, Callable[[StudyTable], str]] = {"md": _markdown, "tex": _latex, "csv": _csv}


def write_tables(table: StudyTable, folder: Path) -> list[Path]:
    """Write table.json, table.md, table.tex and table.csv, and return the files."""
    write_record(folder / "table.json", table.data())
    files = [folder / "table.json"]
    for ending, text in _FORMATS.items():
        files.append(folder / f"table.{ending}")
        write_atomic(files[-1], text(table))
    return files
