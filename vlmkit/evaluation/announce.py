"""Who has not heard of a result yet: what an observer that fails, or a process that is killed, left out comes later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vlmkit.json_files import is_present, read_record, write_record
from vlmkit.registry import registry

__all__ = ["announce", "expect_listeners"]

_EVENT = "vlmkit_evaluated"


class _Untold(BaseModel):
    plugins: list[str]


def expect_listeners(folder: Path) -> None:
    """A result is about to come into this folder: all observers are to hear of it."""
    _note(folder / "untold.json", registry().listeners(_EVENT))


def announce(folder: Path, **event: Any) -> None:
    """Tell of the result in this folder whoever has not heard of it. Those that fail are told again next time."""
    file = folder / "untold.json"
    if is_present(file):
        _note(file, registry().tell(_EVENT, read_record(file, _Untold)["plugins"], **event))


def _note(file: Path, listeners: list[str]) -> None:
    if not listeners:
        file.unlink(missing_ok=True)
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    write_record(file, {"plugins": listeners})
