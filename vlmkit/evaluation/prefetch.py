"""Videos decoded and fitted ahead, in worker processes, while the model answers."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pickle import PicklingError
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from vlmkit.errors import RunError, UnreadableVideo
from vlmkit.runtime import WorkerContext, world_size

if TYPE_CHECKING:
    from vlmkit.data import FittedVideo, VideoLoader

__all__ = ["AlignerVideos", "VideoPart", "load_ahead", "worker_count"]

K = TypeVar("K")
T = TypeVar("T")
_PATIENCE = 600.0
"""Seconds after which a worker that gives nothing counts as stuck."""
_MOST = 4
_WORTH = 8
"""Videos per worker that are worth the second in which it starts."""
_AGAIN = "answers so far are kept: run the command again to go on, with evaluation.workers 0 to decode without workers"


class VideoPart(NamedTuple):
    """A video, or a part of it, that questions are about."""

    path: str
    span: tuple[float, float] | None = None
    """Start and end, seconds; None: all of it."""

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True)
class AlignerVideos:
    """Loads videos as the aligner sees them. It can be sent to a worker process."""

    loader: VideoLoader
    """Of which the canvas `aligner` is taken."""

    def __call__(self, part: VideoPart) -> FittedVideo:
        """Return one video. An `UnreadableVideo` with the reason where it cannot be decoded."""
        return self.loader.load(part.path, span=part.span)["aligner"]


def worker_count(wanted: int | None, videos: int) -> int:
    """Return how many worker processes decode so many videos; `wanted` is `evaluation.workers`."""
    if wanted is not None:
        return min(wanted, videos)
    return min(_MOST, max(1, (os.cpu_count() or 1) // world_size()), videos // _WORTH)


def load_ahead(load: Callable[[K], T], keys: Sequence[K], workers: int) -> Generator[T | UnreadableVideo]:
    """Yield what `load` gives for each key, in their order, or the `UnreadableVideo` that it raises.

    With workers, `load` runs in so many processes, which are at most two keys each ahead of what is yielded, and end
    with this iterator. Without, it runs here when it is asked for.

    Raises:
        UserError: `load` raises another one.
        RunError: a worker was killed, or gives nothing for ten minutes.
    """
    if not workers:
        yield from (_attempt(load, key) for key in keys)
        return
    context = WorkerContext(script=False)
    pool = ProcessPoolExecutor(workers, context, _start, (load,))
    running: deque[tuple[K, Future[Any]]] = deque()
    try:
        for key in keys:
            running.append((key, _submit(pool, key)))
            if len(running) > 2 * workers:
                yield _result(*running.popleft())
        while running:
            yield _result(*running.popleft())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
        context.terminate()


def _submit(pool: ProcessPoolExecutor, key: Any) -> Future[Any]:
    try:
        return pool.submit(_work, key)
    except (PicklingError, AttributeError, TypeError) as error:  # all of them are pickle's
        raise RunError(
            f"the reader of videos cannot be sent to a worker process: {error}; set evaluation.workers to 0, or define "
            "it in a package"
        ) from error


def _result(key: K, future: Future[T]) -> T:
    try:
        return future.result(timeout=_PATIENCE)
    except BrokenProcessPool as error:
        raise RunError(
            f"{key}: a worker process ended while this video, or one of the next, was decoded: it was killed, or the "
            f"machine has too little memory; {_AGAIN}"
        ) from error
    except TimeoutError:
        raise RunError(f"{key}: it is not decoded after {_PATIENCE:g} s; see to this file; {_AGAIN}") from None


def _attempt(load: Callable[[K], T], key: K) -> T | UnreadableVideo:
    try:
        return load(key)
    except UnreadableVideo as error:
        return error


_loads: list[Callable[[Any], Any]] = []
"""In a worker process: what it was started for."""


def _start(load: Callable[[K], T]) -> None:
    _loads[:] = [load]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to all processes of a terminal; the first one says so
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _work(key: Any) -> Any:
    return _attempt(_loads[0], key)


def _end_with_parent() -> None:
    """End this process when its parent is gone, however it ended: nobody else tells it."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
