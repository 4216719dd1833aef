"""Peak memory of one forward pass above the weights."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path

import torch

__all__ = ["peak_above"]

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
