"""What a stage reports: separate losses, learning rates and time, in metrics.jsonl and on the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from vlmkit.lines import present, read_lines
from vlmkit.progress import Progress
from vlmkit.writing import write_atomic

__all__ = ["LossSums", "MetricsFile", "StageProgress"]


class LossSums:
    """Language and distillation loss since the last line of metrics.jsonl, added up on the device.

    Nothing is read from the device until a line is written. The state travels in checkpoints, so that a continued run
    writes the same lines. Of several processes all must call `take` and `state`: both take the mean over them.
    """

    def __init__(self, device: torch.device) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64, device="cpu" if device.type == "mps" else device)
        self.steps = 0
        self.skipped = 0
        """Samples skipped by any process since the stage began; a sample met in two epochs counts twice."""

    def add(self, language: Tensor, distillation: Tensor) -> None:
        """One micro-batch's share of the losses of its step."""
        self.sums += torch.stack([language.detach(), distillation.detach()]).to(self.sums)

    def take(self) -> tuple[float, float]:
        """Mean language and distillation loss per step; begins anew."""
        language, distillation = (self._mean() / max(1, self.steps)).tolist()
        self.sums.zero_()
        self.steps = 0
        return language, distillation

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"sums": self._mean().tolist(), "steps": self.steps, "skipped": self.skipped}

    def restore(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.sums.copy_(torch.tensor(state["sums"], dtype=torch.float64))
        self.steps, self.skipped = state["steps"], state["skipped"]

    def _mean(self) -> Tensor:
        """The sums, as a mean over all processes."""
        sums = self.sums.clone()
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(sums)
            sums /= torch.distributed.get_world_size()
        return sums


class _Row(BaseModel):
    step: Annotated[int, Field(ge=0)]


class MetricsFile:
    """metrics.jsonl of a stage: one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def cut(self, step: int) -> None:
        """Drop the lines after `step`, and one that a kill has torn: they will be written again."""
        if present(self.path):
            kept = [line for line in read_lines(self.path, _Row) if line["step"] <= step]
            write_atomic(self.path, "".join(json.dumps(line) + "\n" for line in kept))

    def append(self, metrics: dict[str, Any]) -> None:
        """One line, in the file when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(metrics) + "\n")


class StageProgress(Progress):
    """Optimizer steps of a stage, with their losses."""

    def __init__(self, stage: str, steps: int, done: int) -> None:
        super().__init__(stage, steps, done)
        self.say(f"step {done} of {steps}" if done else f"{steps} steps")

    def show(self, metrics: dict[str, Any]) -> None:
        """A line of metrics.jsonl was written."""
        parts = [f"{name.removesuffix('_loss')} {metrics[name]:.4f}" for name in _LOSSES if name in metrics]
        if metrics["samples_skipped"]:
            parts.append(f"{metrics['samples_skipped']} skipped")
        losses, pace = ", ".join(parts), metrics["seconds_per_step"]
        left = (self.total - self.done) * pace / 60
        self.tell(f"step {self.done} of {self.total}, {losses}, {pace:.2f} s/step, {left:.1f} min left", note=losses)


_LOSSES = ("loss", "language_loss", "distillation_loss")
