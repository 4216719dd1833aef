"""Measuring what the visual parts of specs, training steps and evaluations cost on this machine."""

from vlmkit.bench.throughput import EvaluationOptions, EvaluationTimings, bench_evaluation
from vlmkit.bench.vision import TimingOptions, VisionTimings, bench_vision, machine

__all__ = [
    "EvaluationOptions",
    "EvaluationTimings",
    "TimingOptions",
    "VisionTimings",
    "bench_evaluation",
    "bench_vision",
    "machine",
]
