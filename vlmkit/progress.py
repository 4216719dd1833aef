"""How far a long job is, on stderr: a bar on a terminal, now and then a plain line elsewhere."""

from __future__ import annotations

import os
import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

__all__ = ["Progress", "on_terminal"]


def on_terminal() -> bool:
    """Return whether stderr is a terminal on which lines can be drawn again."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


class Progress:
    """Counts up to a total."""

    SECONDS = 10.0
    """Between two plain lines."""

    def __init__(self, title: str, total: int, done: int = 0) -> None:
        self.title, self.total, self.done = title, total, done
        self._last = time.monotonic()
        self._bar: Bar | None = None
        if on_terminal():
            self._bar = Bar(*_COLUMNS, console=Console(stderr=True))
            self._task = self._bar.add_task(title, total=total, completed=done, note="")
            self._bar.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def advance(self, count: int = 1) -> None:
        """So many more are done."""
        self.done += count
        if self._bar is not None:
            self._bar.advance(self._task, count)

    def tell(self, line: str, note: str = "") -> None:
        """Show `note` beside the bar; without a bar print `line`, if it is the last one or the one before is old."""
        if self._bar is not None:
            self._bar.update(self._task, note=note)
        elif time.monotonic() - self._last >= self.SECONDS or self.done == self.total:
            self._last = time.monotonic()
            self.say(line)

    def say(self, line: str) -> None:
        """Print a line, unless there is a bar."""
        if self._bar is None:
            print(f"{self.title}: {line}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """The job is over, well or not."""
        if self._bar is not None:
            self._bar.stop()


_COLUMNS = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"))  # fmt: skip
