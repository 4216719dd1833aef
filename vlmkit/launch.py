"""What a launcher (torchrun, deepspeed) says to each of its processes."""

from __future__ import annotations

import os

__all__ = ["processes", "rank"]


def processes() -> int:
    """How many processes the launcher has started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Number of this process."""
    return int(os.environ.get("RANK", "0"))
