"""The records of a stage, metrics.jsonl and stage.json, and its progress on the terminal. Imports no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field
from xxhash import xxh3_128

from vlmkit.errors import RunError
from vlmkit.files import sync_to_disk
from vlmkit.json_files import is_present, read_json_lines, read_record
from vlmkit.manifest import Checksum, checksum
from vlmkit.progress import Progress

__all__ = [
    "METRICS",
    "STAGE_RECORD",
    "MetricsFile",
    "MetricsLine",
    "StageProgress",
    "StageRecord",
    "read_metrics",
    "read_stage_record",
]

METRICS = "metrics.jsonl"
STAGE_RECORD = "stage.json"

_EMPTY = Checksum(bytes=0, xxh3_128=xxh3_128().hexdigest())


class MetricsLine(BaseModel):
    """A line of metrics.jsonl: means over the optimizer steps since the line before."""

    step: Annotated[int, Field(ge=0, le=2**53)]
    """Optimizer step, from 1."""
    epoch: float | None = None
    """Passes over the data that are done."""
    loss: float | None = None
    """The weighted sum that is minimized."""
    language_loss: float | None = None
    distillation_loss: float | None = None
    """Where the stage distils."""
    lr: dict[str, float] | None = None
    """Learning rate of this step by pattern of `train`."""
    grad_norm: float | None = None
    """Of this step's gradients, before clipping."""
    seconds_per_step: Annotated[float, Field(ge=0, lt=2**53)] | None = None
    samples_skipped: int | None = None
    """Since the stage began."""

    def losses(self) -> dict[str, float]:
        """Return the losses that there are: `loss`, `language`, `distillation`."""
        found = {"loss": self.loss, "language": self.language_loss, "distillation": self.distillation_loss}
        return {name: value for name, value in found.items() if value is not None}

    def flat(self) -> dict[str, float]:
        """Return one number under each name, for plugins: `lr/aligner` in place of `lr`."""
        rates = {f"lr/{pattern}": rate for pattern, rate in (self.lr or {}).items()}
        return self.model_dump(exclude={"lr"}, exclude_none=True) | rates


def read_metrics(path: Path) -> list[MetricsLine]:
    """Return the lines by ascending step; of a step that was repeated after an interruption, the last one. A RunError
    where a line is damaged."""
    lines = {line.step: line for line in read_json_lines(path, MetricsLine)}
    return [lines[step] for step in sorted(lines)]


class MetricsFile:
    """metrics.jsonl of a stage, as it is written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> Checksum:
        """Return size and checksum of what the file holds, for the checkpoint; it is on the disk then."""
        if not is_present(self.path):
            return _EMPTY
        sync_to_disk(self.path)
        return checksum(self.path)

    def restore(self, mark: Checksum | None) -> None:
        """Make the file what it was at a checkpoint, or empty: what came after will be written again. A RunError where
        what it held then is missing or damaged."""
        size = mark.bytes if mark else 0
        content = self.path.read_bytes()[:size] if is_present(self.path) else b""
        if mark and mark != Checksum(bytes=len(content), xxh3_128=xxh3_128(content).hexdigest()):
            raise RunError(
                f"{self.path}: expected the {size} bytes that it held when the checkpoint beside it was written, found "
                f"others: the file is damaged; remove the folder {self.path.parent} to train the stage anew"
            )
        if is_present(self.path):
            os.truncate(self.path, size)

    def append(self, line: MetricsLine) -> None:
        """Write a line; it is in the file when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line.model_dump(exclude_none=True)) + "\n")


class StageRecord(BaseModel):
    """stage.json, the last file of a stage, which says that it is done."""

    run: str
    """`vlmkit.spec.identity.identity` of the run's spec."""
    stage: str
    """Name of the folder."""
    steps: int
    samples: int
    """Samples that its datasets hold."""
    samples_skipped: int
    seconds_since_resumed: float
    taken_from: str | None = None
    """The run that trained it, where another one did: its name, or `STUDY/NAME` of one of another study."""
    files: dict[str, Checksum]


def read_stage_record(folder: Path) -> StageRecord | None:
    """Return the record in the folder of a stage; None where the stage is not done. A RunError where it is damaged."""
    file = folder / STAGE_RECORD
    return read_record(file, StageRecord) if is_present(file) else None


class StageProgress(Progress):
    """Optimizer steps of a stage, with their losses."""

    def __init__(self, stage: str, steps: int, done: int) -> None:
        super().__init__(stage, steps, done)
        self.say(f"step {done} of {steps}" if done else f"{steps} steps")

    def show(self, line: MetricsLine) -> None:
        """Show a line of metrics.jsonl."""
        parts = [f"{name} {value:.4f}" for name, value in line.losses().items()]
        if line.samples_skipped:
            parts.append(f"{line.samples_skipped} skipped")
        losses, pace = ", ".join(parts), line.seconds_per_step or 0.0
        left = (self.total - self.done) * pace / 60
        self.tell(f"step {self.done} of {self.total}, {losses}, {pace:.2f} s/step, {left:.1f} min left", note=losses)
