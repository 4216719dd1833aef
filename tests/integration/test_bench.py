"""`vlmkit bench vision` on small specs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmkit.bench import vision
from vlmkit.cli import app


def test_what_a_benchmark_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "_ROUND", 0.0001)
    arguments = ["bench", "vision", "specs/quickstart.yaml", "--rounds", "2", "--threads", "1", "--train"]
    done = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "132,754" in done.output
    figures = json.loads((tmp_path / "vision.json").read_text())
    (result,) = figures["results"]
    assert (result["parameters"], result["tokens"], result["frames"]) == (132754, 104, 8)
    assert len(result["seconds"]) == len(result["train_seconds"]) == 2
    assert result["median"] > 0
    assert result["train_to_forward"] > 1
    assert result["macs"] > 0
    assert figures["machine"]["matmul_gmacs_per_second"] > 0
    assert (tmp_path / "vision.svg").read_text().startswith("<?xml")


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = CliRunner().invoke(app, ["bench", "vision", "specs/quickstart.yaml", "--device", "cuda"])
    assert "no GPU" in str(done.exception)
