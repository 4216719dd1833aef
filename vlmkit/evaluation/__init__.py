"""Benchmarks: the registry, asking, judging, scores and their intervals.

Importing it costs no torch; `evaluate` imports what it needs.
"""

from __future__ import annotations

from vlmkit.evaluation.benchmarks import Benchmark, benchmark_folders, find_benchmark
from vlmkit.evaluation.evaluate import evaluate_benchmarks
from vlmkit.evaluation.judging import read_predictions
from vlmkit.evaluation.questions import PreparedBenchmark, prepare_benchmark, prepare_benchmarks
from vlmkit.evaluation.records import BenchmarkResult, JudgedAnswer, read_result

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "JudgedAnswer",
    "PreparedBenchmark",
    "benchmark_folders",
    "evaluate_benchmarks",
    "find_benchmark",
    "prepare_benchmark",
    "prepare_benchmarks",
    "read_predictions",
    "read_result",
]
