"""The running process: its rank under a launcher, its memory allocator, its workers, the versions of its packages."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import platform
import re
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from multiprocessing.context import SpawnContext, SpawnProcess
from types import ModuleType
from typing import Any

from vlmkit.errors import UserError, shown
from vlmkit.plugin_files import inherited
from vlmkit.registry import registry

__all__ = [
    "WorkerContext",
    "check_device",
    "check_launcher",
    "default_device",
    "environment",
    "exit_in_worker",
    "give_back_freed_memory",
    "keep_freed_memory",
    "local_rank",
    "lost_peers",
    "rank",
    "set_single_process_defaults",
    "share_one_heap",
    "wait_unless_first",
    "world_size",
]


_PATIENCE = 10.0
"""Seconds in which a launcher has noticed that a process has failed, and ended the others."""


def world_size() -> int:
    """How many processes the launcher has started."""
    return _number("WORLD_SIZE", 1, least=1)


def rank() -> int:
    """Number of this process, from 0."""
    number, count = _number("RANK", 0), world_size()
    if number >= count:
        raise UserError(f"environment: expected RANK below WORLD_SIZE {count}, found {number}; {_REMEDY}")
    return number


def local_rank() -> int:
    """Number of this process among those of its machine, from 0."""
    return _number("LOCAL_RANK", 0)


def default_device() -> str:
    """Return the first GPU that torch can use, else `cpu`."""
    import torch

    return "cuda:0" if torch.cuda.is_available() else "cpu"


def check_device(name: str) -> None:
    """Raise a UserError where it is not `cpu`, `cuda` or `cuda:N`, or this machine does not have it."""
    import torch

    found = re.fullmatch(r"cpu|cuda(?::(\d+))?", name)
    if found is None:
        raise UserError(f"--device {shown(name)}: expected cpu, cuda or cuda:N")
    if name == "cpu":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not count:
        raise UserError(f"--device {name}: this machine has no GPU that torch can use; leave the option out")
    if int(found[1] or 0) >= count:
        raise UserError(f"--device {name}: torch sees cuda:0 to cuda:{count - 1} on this machine, {count} in all")


def check_launcher() -> None:
    """Raise a UserError where a part of what a launcher says is missing or malformed, before torch reads it."""
    count = world_size()
    if count > 1:
        names = ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
        if missing := [name for name in names if not os.environ.get(name)]:
            raise UserError(
                f"environment: WORLD_SIZE says that this is one of {count} processes, but there is no "
                f"{', '.join(missing)}; {_REMEDY}"
            )
    rank()
    local_rank()
    _number("MASTER_PORT", 1, least=1, most=65535)


def set_single_process_defaults() -> None:
    """Set what torch and DeepSpeed read from the environment where no launcher has: this process is the only one."""
    alone = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    os.environ.update(alone | os.environ)
    if "MASTER_PORT" not in os.environ:
        with socket.socket() as probe:  # the system chooses a free one
            probe.bind(("127.0.0.1", 0))
            os.environ["MASTER_PORT"] = str(probe.getsockname()[1])


def wait_unless_first() -> None:
    """Wait, in every process but the first, which says the same; the launcher ends this one in the meantime."""
    try:
        first = rank() == 0
    except UserError:
        first = True
    if not first:
        time.sleep(_PATIENCE)


def lost_peers(error: BaseException) -> bool:
    """Return whether the error comes of another process that is gone, which has said why; wait for it, as above."""
    text = str(error)
    lost = world_size() > 1 and (type(error).__name__.startswith("Dist") or any(word in text for word in _LOST))
    if lost:
        time.sleep(_PATIENCE)
    return lost


_LOST = ("gloo", "NCCL", "Connection closed by peer", "Connection reset by peer")
_REMEDY = "start vlmkit with torchrun or deepspeed, or unset these variables to train in one process"


def _number(name: str, default: int, least: int = 0, most: int = 10**6) -> int:
    text = os.environ.get(name, "").strip()
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise UserError(
            f"environment variable {name}: expected a whole number from {least} to {most}, found {shown(text)}; "
            f"{_REMEDY}"
        )
    return int(text)


_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8
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


def share_one_heap() -> None:
    """Let all threads that start from here on allocate from one heap.

    By default each gets one of its own, and a process that decodes videos of all sizes in several threads grows for
    hours by the gaps in them. Does nothing where the C library is another one than glibc.
    """
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)


def give_back_freed_memory() -> None:
    """Give freed memory in the gaps of this process's heap back to the system; takes milliseconds. Likewise."""
    libc: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


_UNGUARDED = 97
"""Exit code of a worker that was about to do its parent's work."""


def exit_in_worker() -> None:
    """End this process, silently, if it is a worker that runs its parent's script. Called before work that starts
    workers."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(_UNGUARDED)


class _Worker(SpawnProcess):
    """Has the plugins that are files, as this process has."""

    def start(self) -> None:
        with inherited(registry().files()):
            super().start()


class _WorkerWithoutScript(_Worker):
    """Is told of no main module, which it would run."""

    def start(self) -> None:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            super().start()
        finally:
            sys.modules["__main__"] = main


class WorkerContext(SpawnContext):
    """Starts workers. Spawned: a forked one would inherit locks of decoders and of the device's driver."""

    def __init__(self, script: bool = True) -> None:
        """Start workers that run the caller's `script` first, and so know what it defines; or that do not, and so need
        no guard in it."""
        super().__init__()
        self._kind = _Worker if script else _WorkerWithoutScript
        self._started: list[SpawnProcess] = []

    def Process(self, *args: Any, **kwargs: Any) -> SpawnProcess:  # type: ignore[override]  # noqa: N802
        """Make a process, which is remembered."""
        process = self._kind(*args, **kwargs)
        self._started.append(process)
        return process

    def terminate(self) -> None:
        """End all processes that were started, whatever they do."""
        for process in self._started:
            if process.pid is not None:
                process.kill()  # does nothing where it has ended

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Raise a UserError, in place of what comes of it, where a worker has ended by `exit_in_worker`."""
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


_PACKAGES = ("accelerate", "av", "decord", "deepspeed", "lm-eval", "numpy", "peft", "pillow", "pydantic",
             "safetensors", "tokenizers", "torch", "transformers", "vlmkit")  # fmt: skip


def environment() -> dict[str, Any]:
    """Plain data: Python, platform, package versions, plugins (name, package, state), torch's threads and devices.

    `torch_threads` is None where torch has not been imported, `devices` where it has none but the CPU too.
    """
    torch = sys.modules.get("torch")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "torch_threads": torch.get_num_threads() if torch else None,
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] or None if torch else None,
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "plugins": [
            {"name": plugin.name, "package": plugin.package, "state": plugin.state} for plugin in registry().plugins
        ],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
