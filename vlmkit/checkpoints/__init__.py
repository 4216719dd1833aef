"""Released checkpoints of others become checkpoints of vlmkit."""

from __future__ import annotations

from vlmkit.checkpoints.convert import import_checkpoint
from vlmkit.checkpoints.import_report import ImportReport

__all__ = ["ImportReport", "import_checkpoint"]
