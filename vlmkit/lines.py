"""JSON-lines files, one object a line, that grow while a run goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vlmkit.errors import RunError

__all__ = ["read_lines"]


def read_lines(path: Path, *, mend: bool = False) -> list[dict[str, Any]]:
    """The objects of a file, none where there is no file. A torn last line, as a kill leaves it, is no line yet.

    With `mend` the torn line is cut off, so that what is appended next starts a line of its own.

    Raises:
        RunError: a line holds something else.
    """
    if not path.is_file():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if mend and whole != content:
        os.truncate(path, len(whole))
    return [_object(line, f"{path}, line {number}") for number, line in enumerate(whole.split(b"\n")[:-1], 1)]


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise RunError(f"{where}: expected a JSON object: {error}; remove the line, or the file") from None
    if not isinstance(found, dict):
        raise RunError(f"{where}: expected a JSON object, found {found!r}; remove the line, or the file")
    return found
