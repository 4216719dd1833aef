"""Worker processes, and a script that they must not run again.

A spawned process first runs the script of the process that has started it, to know what that defines. Without
`if __name__ == "__main__":` the script would train once more in each worker.
"""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

from vlmkit.errors import UserError

__all__ = ["Workers", "leave_to_parent"]

_UNGUARDED = 97
"""Exit code of a worker that was about to do its parent's work."""


def leave_to_parent() -> None:
    """End this process, silently, if it is a worker that runs its parent's script. Called before work that starts
    workers."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(_UNGUARDED)


class Workers(SpawnContext):
    """Starts workers. Spawned: a forked one would inherit locks of decoders and of the device's driver."""

    def __init__(self) -> None:
        super().__init__()
        self._started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """Make a process, which is remembered."""
        process = SpawnProcess(*args, **kwargs)
        self._started.append(process)
        return process

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise a UserError, in place of what comes of it, where a worker has ended by `leave_to_parent`."""
        try:
            yield
        except (RuntimeError, OSError):
            if any(map(_met_the_script, self._started)):
                script = getattr(sys.modules["__main__"], "__file__", "the script")
                raise UserError(
                    f"{script}: worker processes run this script from its beginning, and would do again what it does; "
                    "put that beneath `if __name__ == '__main__':`"
                ) from None
            raise


def _met_the_script(process: SpawnProcess) -> bool:
    if process.pid is None:
        return False
    process.join(1)
    return process.exitcode == _UNGUARDED
