"""Whether what lies in a run folder is of the kind that its name says: files where files are read, folders elsewhere.

Checked before any of it is opened: a pipe would block for ever, a device give data without end, and a folder in place
of what is written last would cost all the work before.
"""

from __future__ import annotations

import os
from pathlib import Path

from vlmkit.api.files import is_file, is_folder
from vlmkit.errors import RunError

__all__ = ["check_kinds"]

_FOLDERS = ("eval", "model", "stages")
_FILES = (
    *(".lock", "bad_samples.jsonl", "environment.json", "model.json", "report.html", "spec.yaml"),
    *("stages/*/data.json", "stages/*/metrics.jsonl", "stages/*/stage.json", "stages/*/weights.safetensors"),
    *("eval/*/blind_predictions.jsonl", "eval/*/predictions.jsonl", "eval/*/result.json", "eval/*/verdicts.sqlite"),
)


def check_kinds(run: Path) -> None:
    """Look at the names in a run folder; nothing is opened. Nothing happens where there is no such folder.

    Raises:
        RunError: something is a pipe, a device or a socket, a folder in place of a file, or a file in place of one.
    """
    if not is_folder(run):
        return
    for name in _FOLDERS:
        if is_file(run / name):
            raise _refusal(run / name, "a folder", "a file")
    for found in (found for pattern in _FILES for found in run.glob(pattern)):
        if is_folder(found):
            raise _refusal(found, "a file", "a folder")
    for below, _, files in os.walk(run):
        for file in (Path(below, name) for name in files):
            if not is_file(file) and file.exists():
                raise _refusal(file, "a file", "a pipe or device")


def _refusal(place: Path, expected: str, found: str) -> RunError:
    return RunError(f"{place}: expected {expected}, found {found}; remove it and run the command again")
