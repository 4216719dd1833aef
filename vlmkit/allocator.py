"""The C library's allocator, told to keep what steps of training and passes of a benchmark use again and again."""

from __future__ import annotations

import ctypes
import sys

__all__ = ["keep_freed_memory"]

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_LARGE = 2**31 - 1


def keep_freed_memory() -> None:
    """Let this process keep freed blocks of any size for the next allocation.

    By default glibc maps each tensor of more than 32 MiB afresh and gives it back at once, so that every pass pays for
    the page faults of all its large tensors again, which on a CPU can take longer than the arithmetic. The process then
    holds on to the most memory that it ever needed. Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, _LARGE)
