"""Measuring what the visual parts of specs cost on this machine."""

from vlmkit.bench.vision import TimingOptions, VisionTimings, bench_vision, machine

__all__ = ["TimingOptions", "VisionTimings", "bench_vision", "machine"]
