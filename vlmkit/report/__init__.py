"""The HTML pages of a run and of a comparison: one self-contained file each, from run folders. Costs no torch."""

from vlmkit.report.comparison import write_comparison, write_study_page
from vlmkit.report.page import write_report
from vlmkit.report.paper_figure import FIGURES, write_figure

__all__ = ["FIGURES", "write_comparison", "write_figure", "write_report", "write_study_page"]
