"""The machine that a benchmark runs on: its device, and the time and peak memory of a piece of work on it."""

from __future__ import annotations

import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch

from vlmkit.errors import UserError

__all__ = ["matmul_rate", "peak_above", "timed", "usable_device"]


def usable_device(name: str) -> torch.device:
    """`cpu`, `cuda` or `cuda:N` as a device of this machine. A UserError for any other, and where there is none."""
    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if found is None:
        raise UserError(f"--device {name}: expected cpu, cuda or cuda:N")
    if name == "cpu":
        return torch.device(name)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise UserError(f"--device {name}: this machine has no GPU that torch can use; leave the option out")
    if int(found[1] or 0) >= count:
        raise UserError(f"--device {name}: torch sees cuda:0 to cuda:{count - 1} on this machine, {count} in all")
    return torch.device(name)


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
    side = 8192 if device.type == "cuda" else 2048
    left = torch.randn(side, side, device=device).to(dtype)
    right = torch.randn(side, side, device=device).to(dtype)
    out = torch.empty(side, side, device=device, dtype=dtype)

    def product() -> object:
        return torch.mm(left, right, out=out)

    product()
    return side**3 / min(timed(product, device) for _ in range(3))


_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_above(work: Callable[[], object], device: torch.device) -> int | None:
    """Bytes that `work` needs at its peak beyond what is allocated before it; None where this cannot be measured.

    On a CPU the kernel's own high-water mark of resident memory (Linux): run it in a fresh process, since memory that
    an earlier pass gave back to the allocator would hide what this one needs.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        work()
        return torch.cuda.max_memory_allocated(device) - before
    if not _CLEAR.exists():
        return None
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _CLEAR.write_text("5")
    before = _status("VmRSS")
    work()
    return _status("VmHWM") - before


def _status(key: str) -> int:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024
