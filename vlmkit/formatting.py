"""Numbers and tables as a person reads them: on the command line, in summaries and in the report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vlmkit.errors import shortened

__all__ = [
    "EN_DASH", "columns", "count", "difference", "differences", "duration", "figure", "figures", "is_accuracy",
    "large", "learning_rate", "markdown_table", "markdown_text", "one_line", "plural",
]  # fmt: skip

EN_DASH = "\N{EN DASH}"


def count(number: int) -> str:
    """1234567 -> 1,234,567."""
    return f"{number:,}"


def plural(number: int, noun: str) -> str:
    """2, "question" -> 2 questions."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def large(number: float) -> str:
    """Three significant digits with a unit prefix: 68300000000 -> 68.3 G."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def learning_rate(value: float) -> str:
    """0.0004 -> 4e-4."""
    mantissa, _, exponent = f"{value:.2e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def duration(seconds: float) -> str:
    """Seconds for a reader: 4000 -> 1 h 7 min."""
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def is_accuracy(metric: str) -> bool:
    """True where a metric is a share of right answers, by its name here or elsewhere (`exact_match,strict`)."""
    return metric.partition(",")[0] in ("acc", "acc_norm", "accuracy", "exact_match")


def figure(value: float, metric: str) -> str:
    """A value of a metric: accuracies in percent, others as they are."""
    return f"{value * 100:.1f}%" if is_accuracy(metric) else f"{value:.2f}"


def figures(ends: Sequence[float], metric: str) -> str:
    """An interval of a metric: 12.5-31.0%."""
    low, high = ends
    return f"{figure(low, metric).rstrip('%')}{EN_DASH}{figure(high, metric)}"


def difference(value: float, metric: str) -> str:
    """A difference of two values of a metric: of accuracies in points, 0.0123 -> +1.23."""
    return f"{value * 100:+.2f}" if is_accuracy(metric) else f"{value:+.2f}"


def differences(ends: Sequence[float], metric: str) -> str:
    """An interval of a difference: -0.71 to +1.37."""
    low, high = ends
    return f"{difference(low, metric)} to {difference(high, metric)}"


def one_line(text: str, limit: int = 80) -> str:
    """A text on one line, cut to so many characters."""
    return shortened(" ".join(text.split()), limit)


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in aligned columns, indented by two spaces."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


_MARKED = str.maketrans({letter: f"\\{letter}" for letter in "\\|<>*`[]&"})


def markdown_text(text: str) -> str:
    """Text that Markdown shows as it is, in one line: `w/o <row>` would be taken for HTML."""
    return " ".join(text.split()).translate(_MARKED)


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table of Markdown, of which the first columns are flush left and the others flush right.

    Cells are Markdown: texts that are none need `markdown_text`.
    """
    marks = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, marks, *rows))
