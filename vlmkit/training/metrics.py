"""What a stage reports: separate losses, learning rates and time, in metrics.jsonl and on the terminal."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from xxhash import xxh3_128

from vlmkit.checksums import checksum
from vlmkit.errors import RunError
from vlmkit.files import sync_to_disk
from vlmkit.json_files import is_present
from vlmkit.progress import Progress
from vlmkit.training.together import everywhere, gather, together

__all__ = ["LossSums", "MetricsFile", "StageProgress"]


_EMPTY = {"bytes": 0, "xxh3_128": xxh3_128().hexdigest()}


class LossSums:
    """Language and distillation loss since the last line of metrics.jsonl, added up on the device.

    On a GPU nothing is read from the device until a line or a checkpoint is written. The state travels in checkpoints,
    so that a continued run writes the same lines. Of several processes all must call `take` and `state`: both take the
    mean over them, and both raise a RunError, in all of them, where a loss was not a finite number. One process on the
    CPU raises it in `add`, before an optimizer step.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = torch.device("cpu") if device.type == "mps" else device
        self.sums = torch.zeros(2, dtype=torch.float64, device=self._device)
        self.steps = 0
        self.skipped = 0
        """Samples skipped by any process since the stage began; a sample met in two epochs counts twice."""
        self._added: list[tuple[int, Sequence[str]]] = []
        self._first = torch.full((2,), -1, device=self._device)
        """For each part the first of `_added` whose loss was not finite."""

    def add(self, language: Tensor, distillation: Tensor, samples: Sequence[str] = (), step: int = 0) -> None:
        """One micro-batch's share of the losses of its step, and the ids of its samples."""
        losses = torch.stack([language.detach(), distillation.detach()]).to(self.sums)
        self.sums += losses
        broken = ~losses.isfinite()
        self._first = torch.where(broken & (self._first < 0), len(self._added), self._first)
        self._added.append((step, samples))
        if self._device.type == "cpu" and together() == 1 and broken.any():
            self._refuse()

    @property
    def broken(self) -> Tensor:
        """() int64 on the device: 1 where a loss of this process was not finite."""
        return (self._first >= 0).any().long()

    def check(self, broken: bool) -> None:
        """Raise the RunError where any process has found a loss that is not finite. All must call it."""
        if broken:
            self._refuse()

    def refuse_norm(self, norm: float, step: int) -> None:
        """Raise a RunError where the norm of a step's gradients is not a finite number."""
        if not (math.isfinite(norm) and norm >= 0):  # DeepSpeed says -1
            samples = [name for added, names in self._added if added == step for name in names]
            with everywhere():  # it is that of all processes together
                raise RunError(_message(step, "the norm of the gradients", norm, samples))

    def take(self) -> tuple[float, float]:
        """Mean language and distillation loss per step; begins anew."""
        language, distillation = (total / max(1, self.steps) for total in self._mean())
        self.sums.zero_()
        self.steps = 0
        self._added.clear()
        return language, distillation

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"sums": self._mean(), "steps": self.steps, "skipped": self.skipped}

    def restore(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.sums.copy_(torch.tensor(state["sums"], dtype=torch.float64))
        self.steps, self.skipped = state["steps"], state["skipped"]

    def _mean(self) -> list[float]:
        """The sums, as a mean over all processes."""
        sums = self.sums.clone()
        if together() > 1:
            torch.distributed.all_reduce(sums)
            sums /= together()
        values: list[float] = sums.tolist()
        self.check(not all(map(math.isfinite, values)))
        return values

    def _refuse(self) -> None:
        """What happened first, of all processes."""
        found = [
            (*self._added[first], part) for part, first in zip(_PARTS, self._first.tolist(), strict=True) if first >= 0
        ]
        every = [item for own in gather(found) for item in own]
        step, _, part = min(every, key=lambda item: item[0])
        samples = [name for at, names, of in every if (at, of) == (step, part) for name in names]
        with everywhere():
            raise RunError(_message(step, f"the {part} loss", None, samples))


_PARTS = ("language", "distillation")
_MANY = 8


def _message(step: int, what: str, value: float | None, samples: Sequence[str]) -> str:
    of = f" of the samples {', '.join(samples[:_MANY])}" if samples else ""
    more = f" and {len(samples) - _MANY} more" if len(samples) > _MANY else ""
    is_ = "is not a finite number" if value is None else f"is {value}, not a finite number"
    return (
        f"step {step}: {what} {is_}{of}{more}; nothing of it was saved. Repair the samples, if they are at fault, and "
        "run the command again: it goes on from the last checkpoint; or lower the learning rates or set max_grad_norm "
        "under another name"
    )


class MetricsFile:
    """metrics.jsonl of a stage: one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def mark(self) -> dict[str, Any]:
        """What the file holds, for the checkpoint; it is on the disk when this returns."""
        if not is_present(self.path):
            return _EMPTY
        sync_to_disk(self.path)
        return checksum(self.path)._asdict()

    def restore(self, mark: Mapping[str, Any] | None) -> None:
        """Make the file what it was at a checkpoint, or empty: what came after will be written again.

        Raises:
            RunError: what it held then is missing or damaged.
        """
        size = mark["bytes"] if mark else 0
        content = self.path.read_bytes()[:size] if is_present(self.path) else b""
        if mark and mark != {"bytes": len(content), "xxh3_128": xxh3_128(content).hexdigest()}:
            raise RunError(
                f"{self.path}: expected the {size} bytes that it held when the checkpoint beside it was written, found "
                f"others: the file is damaged; remove the folder {self.path.parent} to train the stage anew"
            )
        if is_present(self.path):
            os.truncate(self.path, size)

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
