"""The answers of one benchmark, kept batch by batch so that an interrupted evaluation goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from vlmkit.files import write_atomic
from vlmkit.json_files import json_line, read_json_lines

__all__ = ["Journal", "read_answers"]


class _Line(BaseModel):
    id: str
    video: str
    question: str
    answer: str
    type: str
    asked: str
    prediction: str | None


def read_answers(path: Path, *, mend: bool = False) -> dict[str, dict[str, Any]]:
    """The lines of a journal by id. A RunError where one is malformed; `mend` as in `read_lines`."""
    return {line["id"]: line for line in read_json_lines(path, _Line, mend=mend)}


class Journal:
    """A JSON-lines file of answers, one line per question, the last line of an id counts.

    `append` returns when its lines are on the disk. A torn last line, as a kill in the middle of a write leaves it, is
    cut off when the file is opened again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lines = read_answers(path, mend=True)

    def __contains__(self, key: str) -> bool:
        """Whether the question of this id has an answer, or was skipped."""
        return key in self._lines

    def __getitem__(self, key: str) -> dict[str, Any]:
        """The line of one question."""
        return self._lines[key]

    def __len__(self) -> int:
        """How many questions have a line."""
        return len(self._lines)

    def entries(self) -> list[dict[str, Any]]:
        """All lines, one per question."""
        return list(self._lines.values())

    def append(self, entries: Sequence[dict[str, Any]]) -> None:
        """Write the lines of some questions, all in one go."""
        text = "".join(map(json_line, entries))
        with self.path.open("ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        self._lines.update({entry["id"]: entry for entry in entries})

    def compact(self, entries: Sequence[dict[str, Any]]) -> None:
        """Leave just the lines of these questions, in this order, and let them say what the entries say."""
        self._lines = {entry["id"]: {**self._lines[entry["id"]], **entry} for entry in entries}
        text = "".join(map(json_line, self._lines.values()))
        if self.path.read_text(encoding="utf-8") != text:
            write_atomic(self.path, text)
