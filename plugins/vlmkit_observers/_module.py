"""The observer `csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.api import DataError, Observer, is_file, read_text, write_atomic

__all__ = ["CsvRow", "CsvTable"]


class CsvRow(NamedTuple):
    """A number, of a stage or of a benchmark; the names are the header of the file."""

    stage: str
    """Empty for a benchmark."""
    benchmark: str
    """Empty for a stage."""
    step: str
    """Optimizer step, from 1; empty for a benchmark."""
    metric: str
    value: str


class CsvTable(Observer):
    """Appends what it hears. What is trained or measured again takes the place of its former rows."""

    def __init__(self, file: Path, every: int) -> None:
        self.file, self.every = file, every
        self.written: int | None = None
        """The last step of the stage of which there are rows; None while there are none of this command."""
        self.waiting: list[CsvRow] = []
        """Rows of the last step that was logged, if they are not written."""

    def stage_started(self, stage: str, options: Mapping[str, Any]) -> None:
        """Forget the steps of another stage."""
        self.written, self.waiting = None, []

    def step_ended(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """Write the numbers of a step, or keep them until the stage ends."""
        self.waiting = [
            CsvRow(stage, "", str(step), name, repr(value)) for name, value in metrics.items() if name != "step"
        ]
        if self.written is None:
            self._replace(lambda row: row.stage == stage and int(row.step) >= step, self.waiting)
        elif step // self.every > self.written // self.every:
            self._append(self.waiting)
        else:
            return
        self.written, self.waiting = step, []

    def stage_ended(self, stage: str) -> None:
        """Write the numbers of the last step."""
        self._append(self.waiting)
        self.written, self.waiting = None, []

    def evaluated(self, benchmark: str, metrics: Mapping[str, float], result: Mapping[str, Any]) -> None:
        """Write the scores of a benchmark in the place of earlier ones."""
        rows = [CsvRow("", benchmark, "", name, repr(value)) for name, value in metrics.items()]
        self._replace(lambda row: row.benchmark == benchmark, rows)

    def _append(self, rows: Iterable[CsvRow]) -> None:
        with self.file.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    def _replace(self, drops: Callable[[CsvRow], bool], rows: Iterable[CsvRow]) -> None:
        """Write the file anew: the rows that it has but for those that `drops` is true of, and further ones."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([CsvRow._fields, *(row for row in self._rows() if not drops(row)), *rows])
        write_atomic(self.file, text.getvalue())

    def _rows(self) -> list[CsvRow]:
        if not is_file(self.file):
            return []
        header, *lines = [*csv.reader(io.StringIO(read_text(self.file, "a table of numbers"), newline=""))] or [()]
        if tuple(header) != CsvRow._fields or any(len(line) != len(header) for line in lines):
            expected = f"expected the columns {', '.join(CsvRow._fields)} in all lines"
            raise DataError(f"{self.file}: {expected}; found others: move the file away")
        return [CsvRow(*line) for line in lines]
