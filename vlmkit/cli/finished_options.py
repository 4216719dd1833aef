"""Arguments and texts that the commands on finished evaluations share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from vlmkit.errors import UserError
from vlmkit.evaluation.finished import FinishedEvaluation
from vlmkit.files import expand_path, is_folder, write_atomic
from vlmkit.formatting import plural

__all__ = ["BenchmarkName", "FurtherEntries", "JudgeNames", "LinesFile", "Listed", "about", "write_lines"]

BenchmarkName = Annotated[
    str | None,
    typer.Option("--benchmark", metavar="NAME", help="Which result, of several; of a file alone, its entry."),
]
FurtherEntries = Annotated[
    list[str] | None,
    typer.Option("--benchmarks-path", metavar="FOLDER", help="A further folder of entries. Repeatable."),
]
JudgeNames = Annotated[
    list[str] | None,
    typer.Option("--judge", metavar="NAME", help="A judge whose verdicts are stored; also its name and version."),
]
Listed = Annotated[int, typer.Option("--list", min=0, metavar="N", help="How many questions are listed at most.")]
LinesFile = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE.jsonl", help="A file for all of them, JSON lines.")
]


def about(found: FinishedEvaluation) -> str:
    """Return in a line what the answers are to."""
    parts = [found.benchmark.name]
    if (result := found.result) is not None:
        parts.append(f"version {result.version}, split {result.split}")
        parts += [f"first {plural(result.limit, 'question')}"] if result.limit else []
        if result.version != found.benchmark.version:
            parts.append(f"this installation has version {found.benchmark.version}")
    return f"{', '.join(parts)}: {plural(len(found.answers), 'answer')}"


def write_lines(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines, whole or not at all. A UserError where that is not possible."""
    file = expand_path(file)
    if file.suffix != ".jsonl":
        raise UserError(f"--output {file}: expected the name of a .jsonl file, JSON lines")
    if is_folder(file):
        raise UserError(f"--output {file}: expected a file, found a folder")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(file, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))
    except OSError as error:
        raise UserError(f"--output {file}: it cannot be written: {error.strerror or error}") from None
    return file
