"""metrics.jsonl: after an interruption, read back, and on the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.training.metrics import MetricsFile, MetricsLine, StageProgress, read_metrics


def test_lines_after_the_checkpoint_and_torn_ones_are_dropped(tmp_path: Path) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    file.restore(file.mark())
    assert not file.path.exists()
    for step in (2, 4):
        file.append(MetricsLine(step=step))
    mark = file.mark()
    file.append(MetricsLine(step=6))
    with file.path.open("a") as torn:
        torn.write('{"step": 8, "lo')
    file.restore(mark)
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4]
    file.append(MetricsLine(step=6))
    assert [json.loads(line)["step"] for line in file.path.read_text().splitlines()] == [2, 4, 6]
    file.restore(None)
    assert file.path.read_text() == ""


@pytest.mark.parametrize("damage", ["flipped", "cut short", "gone"])
def test_what_the_file_held_at_the_checkpoint_must_be_there(tmp_path: Path, damage: str) -> None:
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for step in (2, 4, 6):
        file.append(MetricsLine(step=step))
    mark, whole = file.mark(), file.path.read_bytes()
    if damage == "gone":
        file.path.unlink()
    else:
        file.path.write_bytes(whole.replace(b"4", b"5") if damage == "flipped" else whole[:-5])
    with pytest.raises(RunError, match=r"metrics\.jsonl: expected the \d+ bytes .*; remove the folder .* to train the"):
        file.restore(mark)


def test_progress_is_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    progress = StageProgress("stage 1, align", steps=2, done=0)
    losses = {"loss": 1.5, "language_loss": 1.0, "distillation_loss": 0.5}
    line = MetricsLine(step=2, **losses, seconds_per_step=0.1, samples_skipped=2)
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


def test_lines_are_read_as_they_were_written(tmp_path: Path) -> None:
    """Of a repeated step the last line counts; what a stage does not have is no key."""
    file = MetricsFile(tmp_path / "metrics.jsonl")
    first = MetricsLine(step=2, epoch=0.5, loss=1.5, lr={"aligner": 1e-3}, samples_skipped=0)
    for line in (first, MetricsLine(step=4, loss=9.0), MetricsLine(step=4, loss=1.0)):
        file.append(line)
    assert read_metrics(file.path) == [first, MetricsLine(step=4, loss=1.0)]
    assert file.path.read_text().splitlines()[1] == '{"step": 4, "loss": 9.0}'
    assert first.flat() == {"step": 2, "epoch": 0.5, "loss": 1.5, "samples_skipped": 0, "lr/aligner": 1e-3}


@pytest.mark.parametrize("line", ['{"loss": 1.0}', '{"step": -1}', '{"step": "2"}', '{"step": 2, "lr": 3}', "[]"])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(f'{{"step": 1}}\n{line}\n')
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 2: .*; remove the line, or the file"):
        read_metrics(tmp_path / "metrics.jsonl")


def test_the_records_of_a_stage_are_read_without_torch() -> None:
    code = "import vlmkit.training.metrics, vlmkit.summary, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
