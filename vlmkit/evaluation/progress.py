"""How far an evaluation is: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from tqdm import tqdm  # type: ignore[import-untyped]

__all__ = ["Progress"]


class Progress:
    """Counts questions on stderr."""

    SECONDS = 10.0
    """Between two plain lines."""

    def __init__(self, title: str, total: int) -> None:
        self.title, self.total, self.done = title, total, 0
        self._last = time.monotonic()
        bar = sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=title, unit="question", dynamic_ncols=True) if bar else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, count: int) -> None:
        """So many more questions have an answer."""
        self.done += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._last >= self.SECONDS or self.done == self.total:
            self._last = time.monotonic()
            print(f"{self.title}: {self.done} of {self.total} questions", file=sys.stderr, flush=True)
