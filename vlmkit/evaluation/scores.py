"""From the values of single questions to metrics with intervals, overall and by question type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vlmkit.evaluation.statistics import estimate

__all__ = ["Row", "summarise"]


@dataclass(frozen=True)
class Row:
    """One question."""

    type: str
    video: str
    values: Mapping[str, float]
    """By metric; empty where it was skipped or not scored."""


def summarise(rows: Sequence[Row], ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    """`n`, `metrics` and `by_type` as `result.json` has them. Metrics are empty where no question was scored.

    `ranges` has the lowest and highest value of each metric.
    """
    types: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        types[row.type].append(row)
    return {**_summary(rows, ranges), "by_type": {name: _summary(types[name], ranges) for name in sorted(types)}}


def _summary(rows: Sequence[Row], ranges: Mapping[str, tuple[float, float]]) -> dict[str, Any]:
    scored = [row for row in rows if row.values]
    videos = [row.video for row in scored]
    metrics = {}
    for name, (lowest, highest) in ranges.items() if scored else ():
        mean, low, high = estimate([row.values[name] for row in scored], videos, lowest, highest)
        metrics[name] = {"value": mean, "ci95": [low, high]}
    return {"n": len(scored), "metrics": metrics}
