"""Benchmarks: the registry, asking through lm-eval, judging, scores and their intervals.

Importing it costs no torch; `evaluate` imports what it needs.
"""

from __future__ import annotations

from vlmkit.evaluation.harness import evaluate
from vlmkit.evaluation.predictions import read_predictions
from vlmkit.evaluation.registry import Benchmark, benchmarks, find_benchmark
from vlmkit.evaluation.selection import Selection, prepare, select

__all__ = [
    "Benchmark",
    "Selection",
    "benchmarks",
    "evaluate",
    "find_benchmark",
    "prepare",
    "read_predictions",
    "select",
]
