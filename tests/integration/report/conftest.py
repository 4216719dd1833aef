"""The run of the report's own tests."""

from __future__ import annotations

from ...unit.report.conftest import components, run_folder

__all__ = ["components", "run_folder"]
