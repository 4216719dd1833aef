"""A server of a saved model in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from types import TracebackType

import pytest

START, STOP = 90, 20
"""Seconds for a server to load its model, and to end."""


class ServerProcess:
    """`vlmkit serve` with these arguments, on a free port."""

    def __init__(self, *arguments: str | Path, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vlmkit", "serve", *map(str, arguments), "--port", "0", "--device", "cpu"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        )  # fmt: skip
        self.errors: list[str] = []
        assert self.process.stdout is not None
        Thread(target=self._read_errors, daemon=True).start()
        line = self.process.stdout.readline()
        if " at http://" not in line:
            self.process.kill()
            raise AssertionError("".join([line, *self.errors]))
        self.url = line.rsplit(" at ", 1)[1].strip().removesuffix("/v1")
        self.name = line.split()[2]

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    @property
    def rss(self) -> int:
        """Bytes of its memory."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) << 10

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def ended(self) -> tuple[int, float]:
        """Wait for its end; its exit code and how long it took."""
        begin = time.monotonic()
        return self.process.wait(STOP), time.monotonic() - begin

    def __enter__(self) -> ServerProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)


@pytest.fixture(scope="module")
def served() -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers, which end with the tests of the module."""
    with ExitStack() as stack:
        yield lambda *arguments, **environment: stack.enter_context(ServerProcess(*arguments, **environment))
