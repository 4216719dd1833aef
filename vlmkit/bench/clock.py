"""Timing on a CPU and on a GPU, and the machine's own speed as a yardstick."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

__all__ = ["matmul_rate", "timed"]

_SIDE = 2048


def timed(work: Callable[[], object], device: torch.device) -> float:
    """Seconds that `work` takes: the GPU's own events where there is one, the wall clock otherwise."""
    if device.type != "cuda":
        start = time.perf_counter()
        work()
        return time.perf_counter() - start
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize(device)
    begin.record()
    work()
    end.record()
    torch.cuda.synchronize(device)
    return begin.elapsed_time(end) / 1000


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Multiply-accumulates per second of a square matrix product of side 2048 (8192 on a GPU), best of 3."""
    side = 4 * _SIDE if device.type == "cuda" else _SIDE
    left = torch.randn(side, side, device=device).to(dtype)
    right = torch.randn(side, side, device=device).to(dtype)
    out = torch.empty(side, side, device=device, dtype=dtype)

    def product() -> object:
        return torch.mm(left, right, out=out)

    product()
    return side**3 / min(timed(product, device) for _ in range(3))
