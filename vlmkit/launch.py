"""What a launcher (torchrun, deepspeed) says to each of its processes, and how several of them say one thing once."""

from __future__ import annotations

import os
import socket
import time

from vlmkit.errors import UserError, shown

__all__ = ["check_launch", "give_way", "lost_others", "processes", "rank", "stand_alone"]

_PATIENCE = 10.0
"""Seconds in which a launcher has noticed that a process has failed, and ended the others."""


def processes() -> int:
    """How many processes the launcher has started."""
    return _number("WORLD_SIZE", 1, least=1)


def rank() -> int:
    """Number of this process, from 0."""
    number, count = _number("RANK", 0), processes()
    if number >= count:
        raise UserError(f"environment: expected RANK below WORLD_SIZE {count}, found {number}; {_REMEDY}")
    return number


def check_launch() -> None:
    """Raise a UserError where a part of what a launcher says is missing or malformed, before torch reads it."""
    count = processes()
    if count > 1:
        missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
        if missing:
            raise UserError(
                f"environment: WORLD_SIZE says that this is one of {count} processes, but there is no "
                f"{', '.join(missing)}; {_REMEDY}"
            )
    rank()
    _number("LOCAL_RANK", 0)
    _number("MASTER_PORT", 1, least=1, most=65535)


def stand_alone() -> None:
    """Set what torch and DeepSpeed read from the environment where no launcher has: this process is the only one."""
    values = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1"}
    for name, value in values.items():
        os.environ.setdefault(name, value)
    if "MASTER_PORT" not in os.environ:
        os.environ["MASTER_PORT"] = str(_free_port())


def give_way() -> None:
    """Wait, in every process but the first: where it meets the same error, it has said so and the launcher ends this
    process in the meantime."""
    try:
        first = rank() == 0
    except UserError:
        first = True
    if not first:
        time.sleep(_PATIENCE)


def lost_others(error: BaseException) -> bool:
    """Whether this comes of another process that is gone, after the time in which the launcher would have ended this
    one as well: the other one has said why."""
    text = str(error)
    lost = processes() > 1 and (type(error).__name__.startswith("Dist") or any(word in text for word in _LOST))
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
