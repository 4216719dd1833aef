"""The content of table.json: the rows of a study with their scores, differences and costs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vlmkit.evaluation.records import Metric
from vlmkit.json_files import Record
from vlmkit.study.rows import BASE

__all__ = ["Cell", "Column", "Difference", "StudyTable", "TableRow"]


class Column(Record):
    """The benchmark and metric of one column of scores, measured alike in all rows."""

    benchmark: str
    """Name of the result."""
    metric: str
    protocol: str
    judge: str
    split: str
    questions: int


class Difference(Record):
    """A row minus the base, on the same questions and with the same seeds."""

    value: float
    ci95: tuple[float, float]
    p: float
    """That so large a difference is seen where there is none."""
    p_corrected: float
    """The same, corrected for the number of rows."""
    seeds: int

    @property
    def is_found(self) -> bool:
        """True where it is significant at the 5% level, after the correction."""
        return self.p_corrected < 0.05


class Cell(Record):
    """The score of one row in one column."""

    score: Metric
    seeds: dict[int, float]
    """Score of each seed."""
    seed_deviation: float
    """Standard deviation of one training's score; pooled over all rows where the study says so."""
    difference: Difference | None = None
    """None of the base, and of rows that are the same experiment."""
    published: float | None = None


class TableRow(Record):
    """One row of the table."""

    name: str
    label: str
    cells: dict[str, Cell]
    """By `benchmark/metric`; a column that has no score yet is missing."""
    missing: list[int] = Field(default_factory=list)
    """Seeds without a result: not run yet, or failed."""
    stopped: Literal["found", "small"] | None = None
    """Why it was given no more seeds, where the study may stop early: its difference to the base is found, or it is
    smaller than what matters."""
    parameters: int | None = None
    """Of the visual part: the aligner, and layers inside the LLM."""
    tokens: int | None = None
    """Of a square video."""
    macs: int | None = None
    """Multiply-accumulates of the aligner for it."""
    milliseconds: float | None = None
    """Measured, of the aligner for it: on the machine that `timed_on` of the table names."""


class StudyTable(Record):
    """The content of table.json."""

    study: str
    title: str
    columns: dict[str, Column]
    """By `benchmark/metric`."""
    rows: list[TableRow]
    correction: str
    stop_when: float | None = None
    """The difference that matters, where rows may end early: intervals then hold after every seed at once."""
    decided_by: str = ""
    """The column, `benchmark/metric`, by which rows end early; empty where none does."""
    seed_variance: str
    source: str = ""
    """Of the published scores."""
    timed_on: str = ""
    """Machine, precision and threads of the measured times."""

    def base(self) -> TableRow:
        """Return the row that the others are compared with."""
        return next(row for row in self.rows if row.name == BASE)
