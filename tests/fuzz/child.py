"""The fuzzer's end of `serve`: a crash, a hang or too much memory of the other process is an outcome like any other."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NamedTuple

MIB = 2048
"""Of memory that a process may take."""
STARTS = 300
HANGS = 180
"""Seconds by the clock after which an example counts as a hang; the machine may be busy."""
TESTS = Path(__file__).resolve().parents[1]


class Outcome(NamedTuple):
    """What became of one example."""

    kind: str
    """`refused`, `defect`, or how far it came."""
    said: str = ""

    @property
    def signature(self) -> str:
        """Of a defect: the exception and the last line of the traceback that is ours."""
        lines = self.said.strip().splitlines() or ["?"]
        last = next((line for line in reversed(lines) if line and not line[0].isspace()), lines[-1])
        places = [line.strip() for line in lines if line.startswith("  File") and "vlmkit" in line]
        place = places[-1].partition(", in ")[0].rpartition("vlmkit")[2] if places else ""
        return f"{last.partition(':')[0]} {place}"


class Child:
    """A process that runs one target, started anew when it has died."""

    hangs: float = HANGS

    def __init__(self, module: str) -> None:
        self.module = module
        self.process: subprocess.Popen[bytes] | None = None
        self.log = tempfile.TemporaryFile()  # noqa: SIM115 -- closed by `close`
        self.bases = self._start()

    def ask(self, example: Any) -> Outcome:
        """What the target says of an example."""
        if self.process is None:
            self._start()
        self.connection.send(example)
        ended = self._wait(self.hangs)
        if ended:
            return self._end(ended)
        try:
            kind, said, peak = self.connection.recv()
        except (EOFError, OSError):
            return self._end("Died")
        if peak > MIB:
            self._end("")
            return Outcome("defect", f"TooMuchMemory: {peak} MiB\n{said}")
        return Outcome(kind, said)

    def close(self) -> None:
        """End the process."""
        if self.process is not None:
            self._end("")
        self.log.close()

    def _start(self) -> Any:
        self.connection, theirs = Pipe()
        descriptor = theirs.fileno()
        path = os.pathsep.join([str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])])
        self.log.truncate(0)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "fuzz.serve", self.module, str(descriptor)],
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            pass_fds=[descriptor],
        )
        theirs.close()
        if (ended := self._wait(STARTS)) or self.process.poll() is not None:
            raise RuntimeError(self._end(ended or "Died").said)
        return self.connection.recv()

    def _wait(self, seconds: float) -> str:
        """Until there is an answer, or why there will be none."""
        assert self.process is not None
        ends = time.monotonic() + seconds
        statm = Path(f"/proc/{self.process.pid}/statm")
        while not self.connection.poll(0.2):
            if time.monotonic() > ends:
                return f"Hang: no answer after {seconds} s"
            if self.process.poll() is not None:
                return "Died"
            if statm.exists():
                resident = int((statm.read_text().split() or [0, 0])[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
                if resident > MIB:
                    return f"TooMuchMemory: {resident} MiB"
        return ""

    def _end(self, why: str) -> Outcome:
        """Kill the process; one that hangs first says where."""
        process, self.process = self.process, None
        assert process is not None
        if why.startswith(("Hang", "TooMuch")):
            process.send_signal(signal.SIGABRT)
        elif why != "Died":
            process.kill()
        try:
            code = process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        self.connection.close()
        self.log.seek(0)
        log = self.log.read()[-6000:].decode(errors="replace")
        return Outcome("defect", f"{why}: exit code {code}\n{log}\n{why.partition(':')[0]}: exit code {code}")
