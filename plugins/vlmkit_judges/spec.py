"""Options of the judge `exact`."""

from __future__ import annotations

from typing import Literal

from vlmkit.api import Judge, JudgeSpec

__all__ = ["ExactSpec"]


class ExactSpec(JudgeSpec):
    """Exact match after normalization. Offline and deterministic; a synonym counts as wrong."""

    type: Literal["exact"] = "exact"

    def build(self) -> Judge:
        """Return the judge."""
        from vlmkit_judges._module import ExactJudge

        return ExactJudge()
