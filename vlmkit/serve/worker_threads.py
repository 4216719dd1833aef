"""Threads that work for an event loop and do not keep the process alive."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

__all__ = ["WorkerThreads"]

P = ParamSpec("P")
T = TypeVar("T")


class WorkerThreads:
    """Runs functions in a fixed number of threads.

    Unlike those of `ThreadPoolExecutor`, the process does not wait for them when it ends: one that hangs in a decoder
    would keep it for ever.
    """

    def __init__(self, count: int, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
        for number in range(count):
            threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True).start()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function gives; it is not started where nobody waits for it any more."""
        future: Future[T] = Future()

        def job() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(function(*args, **kwargs))
            except BaseException as error:  # whoever waits gets it
                future.set_exception(error)

        self._jobs.put(job)
        return await asyncio.wrap_future(future)

    def _work(self) -> None:
        while True:
            self._jobs.get()()
