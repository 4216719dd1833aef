"""What others have published on a benchmark, with who judged it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.evaluation.registry import Benchmark, benchmarks, read_benchmark
from vlmkit.report.html import Html, el, table
from vlmkit.report.scores import judged
from vlmkit.report.words import NONE, score

__all__ = ["published"]


def published(result: Mapping[str, Any]) -> list[Html]:
    """The published results on the benchmark of `result`, folded away; nothing where there are none."""
    folder = benchmarks().get(result["benchmark"])
    benchmark = read_benchmark(folder) if folder else None
    return [_table(result, benchmark)] if benchmark and benchmark.published else []


def _table(result: Mapping[str, Any], benchmark: Benchmark) -> Html:
    """The table, headed by what keeps its figures from being compared with `result`."""
    assert benchmark.published is not None
    theirs = benchmark.published
    warning = (
        f"These were judged by {theirs['judge']} on split {theirs['split']}; the score above by {judged(result)} "
        f"on {result['n']:,} questions of split {result['split']}. "
        "Scores of different judges or questions do not compare."
    )
    rows = []
    for row in theirs["results"]:
        values = [score(name, row["metrics"][name]) if name in row["metrics"] else NONE for name in benchmark.metrics]
        size = f"{row['vision_parameters_m']:g} M" if "vision_parameters_m" in row else NONE
        rows.append([row["model"], row["data"], size, *values])
    head = ["Model", "Training data", "Vision parameters", *(name.capitalize() for name in benchmark.metrics)]
    shown = table(f"{theirs['source']}; judge: {theirs['judge']}", head, rows, numeric=range(2, len(head)))
    return el("details", el("summary", f"Published results, judged by {theirs['judge']}"), el("p", warning), shown)
