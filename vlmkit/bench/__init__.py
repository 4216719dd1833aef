"""Measuring what the visual parts of specs cost on this machine."""

from vlmkit.bench.vision import Options, Result, bench_vision

__all__ = ["Options", "Result", "bench_vision"]
