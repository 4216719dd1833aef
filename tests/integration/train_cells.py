"""What a launcher starts in tests/integration/test_ranks.py: trains one spec after the other, in the same processes.

torchrun --nproc-per-node 2 train_cells.py CELLS    # a JSON list of what test_ranks.py calls cells
"""

from __future__ import annotations

import gc
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from vlmkit.errors import UserError
from vlmkit.runner import train
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.trainer import StageTrainer


class Killed(BaseException):
    """The processes end here."""


def main() -> None:
    torch.set_num_threads(1)
    for cell in json.loads(Path(sys.argv[1]).read_text()):
        spec = ExperimentSpec.model_validate(cell["spec"])
        if cell["kill_at"] is not None:
            _train_until(cell["kill_at"], spec, cell["output"])
        if cell["damage"] is not None:
            _damage(Path(cell["output"], spec.name), cell["damage"])
        if cell["refused"] is not None:
            with _spoilt(cell["spoil_at"]), pytest.raises(UserError, match=cell["refused"]) as refusal:
                train(spec, cell["output"])
            assert refusal.value.everywhere
        elif not cell["left"]:
            train(spec, cell["output"])
        gc.freeze()  # transformers collects garbage at each start, which takes long where much is imported


def _train_until(last: int, spec: ExperimentSpec, output: str) -> None:
    """Train so many steps, as if all processes were then killed."""
    logs_at = StageTrainer.logs_at

    def dying(self: Any, step: int) -> bool:
        if step == last and self.state.global_step == last:
            raise Killed
        return logs_at(self, step)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(StageTrainer, "logs_at", dying)
        with pytest.raises(Killed):
            train(spec, output)


@contextmanager
def _spoilt(step: int | None) -> Iterator[None]:
    """A weight of the second process is no number from this step on."""
    computed = StageTrainer.compute_loss

    def compute_loss(self: Any, *args: Any, **kwargs: Any) -> Any:
        if self.state.global_step + 1 == step and torch.distributed.get_rank() == 1:
            next(value for value in self.model.parameters() if value.requires_grad).data.fill_(float("nan"))
        return computed(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(StageTrainer, "compute_loss", compute_loss)
        yield


def _damage(folder: Path, pattern: str) -> None:
    """Flip a bit of one file of the checkpoint."""
    (file,) = folder.glob(f"stages/*/checkpoint-*/**/{pattern}")
    if torch.distributed.get_rank() == 0:
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    torch.distributed.barrier()


if __name__ == "__main__":
    main()
