"""Counting operator calls, to tell a vectorised forward from a Python loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

__all__ = ["operator_calls"]


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls += 1
        return func(*args, **(kwargs or {}))


def operator_calls(work: Callable[[], object]) -> int:
    """How many torch operators `work` calls."""
    with _Counter() as counter:
        work()
    return counter.calls
