"""Benchmarks: the registry, asking, judging, scores and their intervals.

Importing it costs no torch; `evaluate_benchmarks` imports what it needs.
"""

from __future__ import annotations

from vlmkit.evaluation.answer_model import LoadedModel, score_continuations
from vlmkit.evaluation.benchmarks import Benchmark, benchmark_folders, find_benchmark
from vlmkit.evaluation.evaluate import evaluate_benchmarks
from vlmkit.evaluation.generate import ModelQuestion, ask
from vlmkit.evaluation.judging import read_predictions
from vlmkit.evaluation.prefetch import VideoPart
from vlmkit.evaluation.questions import PreparedBenchmark, own_questions, prepare_benchmark, prepare_benchmarks
from vlmkit.evaluation.records import BenchmarkResult, JudgedAnswer, read_result
from vlmkit.evaluation.scores import score_answer
from vlmkit.evaluation.shards import Shard
from vlmkit.spec.evaluation import EvaluationSpec

__all__ = [
    "Benchmark",
    "BenchmarkResult",
    "EvaluationSpec",
    "JudgedAnswer",
    "LoadedModel",
    "ModelQuestion",
    "PreparedBenchmark",
    "Shard",
    "VideoPart",
    "ask",
    "benchmark_folders",
    "evaluate_benchmarks",
    "find_benchmark",
    "own_questions",
    "prepare_benchmark",
    "prepare_benchmarks",
    "read_predictions",
    "read_result",
    "score_answer",
    "score_continuations",
]
