"""metrics.jsonl after an interruption, and the sums behind its lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vlmkit.errors import RunError
from vlmkit.training import metrics
from vlmkit.training.metrics import LossSums, MetricsFile, StageProgress


def test_lines_after_the_checkpoint_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.restore(file.mark())
    assert not file.path.exists()
    for step in (2, 4):
        file.append({"step": step})
    mark = json.loads(json.dumps(file.mark()))
    file.append({"step": 6})
    with file.path.open("a") as torn:
        torn.write('{"step": 8, "lo')
    file.restore(mark)
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4]
    file.append({"step": 6})
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4, 6]
    file.restore(None)
    assert file.path.read_text() == ""


@pytest.mark.parametrize("damage", ["flipped", "cut short", "gone"])
def test_what_the_file_held_at_the_checkpoint_must_be_there(tmp_path: Path, damage: str) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (2, 4, 6):
        file.append({"step": step})
    mark, whole = file.mark(), file.path.read_bytes()
    if damage == "gone":
        file.path.unlink()
    else:
        file.path.write_bytes(whole.replace(b"4", b"5") if damage == "flipped" else whole[:-5])
    with pytest.raises(RunError, match=r"metrics\.jsonl: expected the \d+ bytes .*; remove the folder .* to train the"):
        file.restore(mark)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("part", ["language", "distillation"])
def test_a_loss_that_is_no_number_is_refused_at_once_on_the_cpu(part: str, value: float) -> None:
    sums, good, bad = LossSums(torch.device("cpu")), torch.tensor(0.5), torch.tensor(value)
    sums.add(good, good, ["a"], 1)
    with pytest.raises(RunError, match=f"step 2: the {part} loss is not a finite number of the samples b, c; nothing"):
        sums.add(*((bad, good) if part == "language" else (good, bad)), ["b", "c"], 2)


def test_several_processes_find_out_together_what_came_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """One process learns of the loss of another where both write a line, a checkpoint, or count the next step."""
    monkeypatch.setattr(metrics, "together", lambda: 2)
    monkeypatch.setattr(metrics, "gather", lambda found: [found, [(1, ["far"], "distillation")]])
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda sums: sums.add_(float("nan")))
    sums = LossSums(torch.device("cpu"))
    sums.add(torch.tensor(float("nan")), torch.tensor(0.0), ["near"], 2)
    assert sums.broken.item() == 1
    for ask in (sums.take, sums.state, lambda: sums.check(1)):
        with pytest.raises(RunError, match="step 1: the distillation loss is not a finite number of the samples far;"):
            ask()


@pytest.mark.parametrize("norm", [float("nan"), float("inf"), -1.0])
def test_gradients_without_a_norm_are_refused(norm: float) -> None:
    sums = LossSums(torch.device("cpu"))
    sums.add(torch.tensor(1.0), torch.tensor(0.0), ["early"], 1)
    sums.add(torch.tensor(1.0), torch.tensor(0.0), [f"s{number}" for number in range(10)], 2)
    sums.refuse_norm(1e30, 2)
    with pytest.raises(RunError, match=rf"step 2: the norm of the gradients is {norm}, .* s0, .*, s7 and 2 more;"):
        sums.refuse_norm(norm, 2)


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
