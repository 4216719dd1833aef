"""Benchmarks: the registry, asking, judging, scores and their intervals.

Importing it costs no torch; `evaluate_benchmarks` imports what it needs.
"""

from __future__ import annotations

from vlmkit.benchmarks.entries import Benchmark, benchmark_folders, find_benchmark
from vlmkit.benchmarks.protocols import Aggregate
from vlmkit.evaluation.answer_model import LoadedModel, score_continuations
from vlmkit.evaluation.answers import Answer, document_fields
from vlmkit.evaluation.evaluate import evaluate_benchmarks
from vlmkit.evaluation.generate import ModelQuestion, ask
from vlmkit.evaluation.harness_tasks import PreparedTask
from vlmkit.evaluation.prefetch import VideoPart
from vlmkit.evaluation.questions import (
    PreparedBenchmark,
    judge_of,
    own_questions,
    prepare_benchmark,
    prepare_benchmarks,
)
from vlmkit.evaluation.records import BenchmarkResult, read_result
from vlmkit.evaluation.rescoring import read_scored
from vlmkit.evaluation.scores import ScoredAnswer, aggregate, is_error, score_answers
from vlmkit.evaluation.shards import EvaluationShard
from vlmkit.spec.evaluation import EvaluationSpec

__all__ = [
    "Aggregate",
    "Answer",
    "Benchmark",
    "BenchmarkResult",
    "EvaluationShard",
    "EvaluationSpec",
    "LoadedModel",
    "ModelQuestion",
    "PreparedBenchmark",
    "PreparedTask",
    "ScoredAnswer",
    "VideoPart",
    "aggregate",
    "ask",
    "benchmark_folders",
    "document_fields",
    "evaluate_benchmarks",
    "find_benchmark",
    "is_error",
    "judge_of",
    "own_questions",
    "prepare_benchmark",
    "prepare_benchmarks",
    "read_result",
    "read_scored",
    "score_answers",
    "score_continuations",
]
