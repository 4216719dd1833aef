"""Records that evaluation and training are about to offer."""

from __future__ import annotations

from pathlib import Path

from vlmkit.api.judge import Unscored, Verdict
from vlmkit.evaluation.predictions import read_predictions
from vlmkit.evaluation.records import JudgedAnswer

__all__ = ["judged_answers"]


def judged_answers(folder: Path, name: str) -> list[JudgedAnswer]:
    """Return the answers of a benchmark with their verdicts."""
    return [_judged(row) for row in read_predictions(folder, name)]


def _judged(row: dict[str, object]) -> JudgedAnswer:
    correct, score, raw, reason = (row.pop(key, None) for key in ("correct", "score", "judge", "unscored"))
    verdict = Unscored(reason) if reason is not None else None if correct is None else Verdict(correct, score, raw)  # type: ignore[arg-type]
    return JudgedAnswer(**row, asked="", verdict=verdict)  # type: ignore[arg-type]
