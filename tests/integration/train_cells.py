"""What a launcher starts in tests/integration/test_ranks.py: trains one spec after the other, in the same processes.

torchrun --nproc-per-node 2 train_cells.py CELLS    # a JSON list of what test_ranks.py calls cells
"""

from __future__ import annotations

import gc
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from vlmkit.errors import UserError
from vlmkit.experiment import train
from vlmkit.spec import ExperimentSpec
from vlmkit.training.trainer import StageTrainer


class Killed(BaseException):
    """The processes end here."""


def main() -> None:
    torch.set_num_threads(1)
    for cell in json.loads(Path(sys.argv[1]).read_text()):
        spec = ExperimentSpec.model_validate(cell["spec"])
        if cell["kill_at"] is not None:
            _train_until(cell["kill_at"], spec, cell["output"])
        if cell["refused"] is not None:
            with pytest.raises(UserError, match=cell["refused"]) as refusal:
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


if __name__ == "__main__":
    main()
