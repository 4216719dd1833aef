"""metrics.jsonl after an interruption, and the sums behind its lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vlmkit.errors import RunError
from vlmkit.training.metrics import LossSums, MetricsFile, StageProgress


def test_lines_after_the_checkpoint_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.cut(5)
    assert not file.path.exists()
    for step in (2, 4, 6):
        file.append({"step": step})
    with file.path.open("a") as torn:
        torn.write('{"step": 8, "lo')
    file.cut(4)
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4]
    with file.path.open("a") as torn:
        torn.write('{"st')
    file.cut(9)
    file.append({"step": 6})
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4, 6]


def test_a_line_without_a_step_is_named(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 2}\n{}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2: expected the key step"):
        MetricsFile(tmp_path / "metrics.jsonl").cut(4)


def test_sums_give_the_mean_of_the_steps_and_survive_a_checkpoint() -> None:
    sums = LossSums(torch.device("cpu"))
    for language in (0.1, 0.2, 0.4):
        sums.add(torch.tensor(language), torch.tensor(1.0))
        sums.steps += 1
    sums.skipped = 3
    again = LossSums(torch.device("cpu"))
    again.restore(json.loads(json.dumps(sums.state())))
    assert again.skipped == 3
    assert again.take() == sums.take() == pytest.approx((0.7 / 3, 1.0))
    assert again.steps == 0
    assert again.take() == (0, 0)


def test_a_checkpoint_holds_the_mean_over_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    other = torch.tensor([3.0, 1.0], dtype=torch.float64)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.add_(other))
    own = LossSums(torch.device("cpu"))
    own.add(torch.tensor(1.0), torch.tensor(0.0))
    own.steps = 1
    assert own.state()["sums"] == [2.0, 0.5]
    assert own.take() == (2.0, 0.5)


def test_progress_is_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = StageProgress("stage 1, align", steps=2, done=0)
    line = {"loss": 1.5, "language_loss": 1.0, "distillation_loss": 0.5, "seconds_per_step": 0.1, "samples_skipped": 2}
    progress.advance()
    progress.show(line)
    progress.advance()
    progress.show(line)
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        "stage 1, align: 2 steps",
        "stage 1, align: step 2 of 2, loss 1.5000, language 1.0000, distillation 0.5000, 2 skipped, 0.10 s/step, "
        "0.0 min left",
    ]
