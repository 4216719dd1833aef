"""The HTML page of a run: one self-contained file, from what the run folder holds. Costs no torch."""

from vlmkit.report.page import write_report

__all__ = ["write_report"]
