"""Numbers and tables as a person reads them: on the command line, in summaries and in the report."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["columns", "count", "duration", "large", "learning_rate", "plural"]


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


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows of text in aligned columns, indented by two spaces."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
