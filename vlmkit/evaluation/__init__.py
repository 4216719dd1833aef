"""Benchmarks: the registry, asking, judging, scores and their intervals.

Importing it costs no torch; `evaluate_benchmarks` imports what it needs.
"""

from __future__ import annotations

from vlmkit.evaluation.benchmarks import Benchmark, benchmark_folders, find_benchmark
from vlmkit.evaluation.evaluate import evaluate_benchmarks
from vlmkit.evaluation.generate import batches_by_video, generate_batch
from vlmkit.evaluation.judging import read_predictions
from vlmkit.evaluation.questions import PreparedBenchmark, own_questions, prepare_benchmark, prepare_benchmarks
from vlmkit.evaluation.records import BenchmarkResult, JudgedAnswer, read_result
from vlmkit.evaluation.scores import score_answer
from vlmkit.spec.evaluation import EvaluationSpec

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "EvaluationSpec",
    "JudgedAnswer",
    "PreparedBenchmark",
    "batches_by_video",
    "benchmark_folders",
    "evaluate_benchmarks",
    "find_benchmark",
    "generate_batch",
    "own_questions",
    "prepare_benchmark",
    "prepare_benchmarks",
    "read_predictions",
    "read_result",
    "score_answer",
]
