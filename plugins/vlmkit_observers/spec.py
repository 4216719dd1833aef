"""Options of the observers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from vlmkit.api import Observer, ObserverSpec
from vlmkit.api.bounds import Count

__all__ = ["CsvSpec"]


class CsvSpec(ObserverSpec):
    """All numbers of a run in its `metrics.csv`, one in a row, for spreadsheets and data frames."""

    type: Literal["csv"] = "csv"
    every: Count = 1
    """Optimizer steps between two that are written, of those that are logged (`training.log_every`). The last logged
    step of a stage always is."""

    def build(self, run: Path) -> Observer:
        """The observer; the file is opened when there is something to write."""
        from vlmkit_observers._module import CsvTable

        return CsvTable(run / "metrics.csv", self.every)
