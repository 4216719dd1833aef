"""Runs of a study as processes of this machine, or as jobs of a cluster by submitit."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmkit.errors import UserError

__all__ = ["Job", "Launcher", "LocalLauncher", "SubmititLauncher"]

_PR_SET_PDEATHSIG = 1


class Job(ABC):
    """One launched run."""

    @abstractmethod
    def exit_code(self) -> int | None:
        """Return how it ended; None while it runs."""

    @abstractmethod
    def stop(self) -> None:
        """End it."""


class Launcher(ABC):
    """Starts runs, at most `slots` at once."""

    slots: int

    @abstractmethod
    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        """Start a command of which all output goes to a file.

        Args:
            command: arguments of vlmkit's command line.
            log: the file; what it held is lost.
            slot: the number of a free place, from 0.
        """


class _Process(Job):
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def exit_code(self) -> int | None:
        return self._process.poll()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class LocalLauncher(Launcher):
    """Processes of this machine, each with one of its GPUs and a share of its CPUs; they end with this process."""

    def __init__(self, slots: int, devices: Sequence[str] = ()) -> None:
        """Take the number of runs at once, and the GPUs that they are dealt to, as CUDA_VISIBLE_DEVICES has them.

        With fewer slots than GPUs, there is one for each GPU; with more slots, several runs share a GPU.
        """
        self.slots, self.devices = max(slots, len(devices)), devices

    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        """Start a process."""
        environment = {**os.environ, **self._share(slot)}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "vlmkit", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                preexec_fn=_end_with_parent if sys.platform == "linux" else None,
            )
        return _Process(process)

    def _share(self, slot: int) -> dict[str, str]:
        share = {"CUDA_VISIBLE_DEVICES": self.devices[slot % len(self.devices)]} if self.devices else {}
        if self.slots > 1 and "OMP_NUM_THREADS" not in os.environ:
            share["OMP_NUM_THREADS"] = str(max(1, _cpus() // self.slots))
        return share


def _cpus() -> int:
    """Return the number of CPUs that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _end_with_parent() -> None:
    """Have the kernel end this process when the one that started it is gone, however it ended."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _ClusterJob(Job):
    def __init__(self, job: Any) -> None:
        self._job = job

    def exit_code(self) -> int | None:
        if not self._job.done():
            return None
        return 0 if self._job.state in ("COMPLETED", "FINISHED", "DONE") and self._job.exception() is None else 1

    def stop(self) -> None:
        self._job.cancel()


class SubmititLauncher(Launcher):
    """Jobs of a cluster, or of submitit's local executor. They go on when this process ends."""

    def __init__(
        self, slots: int, folder: Path, cluster: str = "slurm", options: Mapping[str, Any] | None = None
    ) -> None:
        """Open submitit's executor.

        Args:
            slots: jobs at once.
            folder: where submitit keeps its own files.
            cluster: `slurm` or `local`.
            options: those of submitit's executor, e.g. `{slurm_partition: gpu, gpus_per_node: 8, timeout_min: 1440}`.
        """
        try:
            import submitit  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise UserError("runs on a cluster need submitit: pip install 'vlmkit[cluster]'") from None
        self.slots, self._submitit = slots, submitit
        try:
            self._executor = submitit.AutoExecutor(folder=str(folder), cluster=cluster)
            self._executor.update_parameters(**dict(options or {}))
        except (RuntimeError, ValueError, TypeError, NameError, AssertionError) as error:
            raise UserError(f"submitit's executor {cluster!r} does not start here: {error}") from error

    def start(self, command: Sequence[str], log: Path, slot: int) -> Job:
        """Submit a job."""
        script = 'log=$1; shift; exec "$0" -m vlmkit "$@" > "$log" 2>&1'
        words = ["bash", "-c", script, sys.executable, str(log.resolve()), *command]
        function = self._submitit.helpers.CommandFunction(words, verbose=False)
        return _ClusterJob(self._executor.submit(function))
