"""A target with every fault on demand, to see that each is found."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

ENOUGH: dict[str, float] = {}


def examples(bases: int) -> st.SearchStrategy[int]:
    """Numbers, of which those from `bases` on are at fault."""
    return st.integers(0, 10 * bases)


def show(example: Any) -> str:
    """The number."""
    return f"minimal: {example}"


class Target:
    """Does what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def bases(self) -> int:
        """The first number that is at fault."""
        return 100

    def check(self, example: Any) -> str:
        """Run into the fault of this name."""
        from vlmkit.errors import UserError

        if example == "refused":
            raise UserError("expected something else")
        if example == "silent":
            raise UserError("")
        if example == "crash":
            ctypes.string_at(0)
        if example == "hang":
            time.sleep(1000)
        if example == "memory":
            Path("/dev/null").write_bytes(b"x" * (3 << 30))
        if isinstance(example, int) and example >= self.bases():
            raise KeyError("planted")
        return "done"
