"""Scores and intervals as the page shows them."""

from __future__ import annotations

from vlmkit.evaluation.records import Metric
from vlmkit.report.results import interval, score


def metric(value: float, low: float = 0.0, high: float = 1.0) -> Metric:
    return Metric(value=value, ci95=[low, high])


def test_accuracy_is_a_percentage_and_other_metrics_are_not() -> None:
    assert score(metric(0.8647), "accuracy") == "86.5%"
    assert score(metric(3.3), "score") == "3.30"
    assert interval(metric(0.9, 0.841, 1.0), "accuracy") == "84.1\N{EN DASH}100.0%"
    assert interval(metric(3.3, 3.1, 3.5), "score") == "3.10\N{EN DASH}3.50"
