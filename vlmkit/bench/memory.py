"""The memory of this process, as Linux counts it."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

__all__ = ["available_bytes", "peak_bytes", "reset_peak", "resident_bytes"]

_PEAK = Path("/proc/self/clear_refs")
_MACHINE = Path("/proc/meminfo")


def available_bytes() -> int | None:
    """Return the memory of the machine that can be taken without swapping; None where that is not known."""
    if not _MACHINE.exists():
        return None
    [kib] = re.findall(r"^MemAvailable:\s+(\d+)", _MACHINE.read_text(), re.MULTILINE)
    return int(kib) * 1024


def reset_peak() -> bool:
    """Let the peak be counted from here on, after freed memory was given back; False where that cannot be done."""
    if not _PEAK.exists():
        return False
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    _PEAK.write_text("5")  # sets it to what is in use
    return True


def peak_bytes() -> int:
    """Return the most resident memory that this process had since `reset_peak`."""
    return _status("VmHWM")


def resident_bytes() -> int:
    """Return the resident memory of this process."""
    return _status("VmRSS")


def _status(key: str) -> int:
    [kib] = re.findall(rf"^{key}:\s+(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)
    return int(kib) * 1024
