"""Records that evaluation and training are about to offer."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from vlmkit.api.judge import Unscored, Verdict
from vlmkit.evaluation.predictions import read_predictions
from vlmkit.evaluation.records import JudgedAnswer
from vlmkit.json_files import load_record, load_record_lines

__all__ = ["MetricsLine", "SavedSummary", "judged_answers", "read_metrics", "read_summary"]


class MetricsLine(BaseModel):
    """A line of metrics.jsonl."""

    step: Annotated[int, Field(ge=0, le=2**53)]
    language_loss: float | None = None
    distillation_loss: float | None = None
    seconds_per_step: float | None = None


class _SavedStage(BaseModel):
    name: str
    trains: dict[str, int]


class SavedSummary(BaseModel):
    """The content of model.json."""

    parts: dict[str, int] = {}
    tokens: dict[str, int] = {}
    macs: float | None = None
    frames: int | None = None
    stages: list[_SavedStage] = []


def judged_answers(folder: Path, name: str) -> list[JudgedAnswer]:
    """Return the answers of a benchmark with their verdicts."""
    return [_judged(row) for row in read_predictions(folder, name)]


def _judged(row: dict[str, object]) -> JudgedAnswer:
    correct, score, raw, reason = (row.pop(key, None) for key in ("correct", "score", "judge", "unscored"))
    verdict = Unscored(reason) if reason is not None else None if correct is None else Verdict(correct, score, raw)  # type: ignore[arg-type]
    return JudgedAnswer(**row, asked="", verdict=verdict)  # type: ignore[arg-type]


def read_metrics(path: Path) -> list[MetricsLine]:
    """Return the lines by ascending step; of a repeated step the last."""
    last = {line.step: line for line in load_record_lines(path, MetricsLine)}
    return [last[step] for step in sorted(last)]


def read_summary(path: Path) -> SavedSummary:
    """Return the content of model.json."""
    return load_record(path, SavedSummary)
