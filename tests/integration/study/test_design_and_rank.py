"""`vlmkit design` and `vlmkit rank` on a tiny model: from a design space to a study, its runs and their order."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.study import launching, running

from .conftest import HereLauncher, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")


class _Local(HereLauncher):
    def __init__(self, slots: int, devices: Sequence[str] = ()) -> None:
        super().__init__()


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PAUSE", 0.0)
    monkeypatch.setattr(launching, "LocalLauncher", _Local)


def call(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_design_space_ends_in_a_ranking(write_study: WriteStudy, tmp_path: Path) -> None:
    write_study()
    space = {
        "vlmkit": 1,
        "design": "small",
        "base": "base.yaml",
        "ranges": {"model.aligner.width": [8, 16], "model.aligner.chunk_frames": [2, 3]},
        "limits": {"tokens": {"at_least": 4, "at_most": 100}},
        "objectives": {"operations": "minimize", "parameters": "maximize"},
        "runs": {"set": {"training.stages.language.steps": 5}, "seeds": [1]},
    }
    (tmp_path / "space.yaml").write_text(yaml.safe_dump(space, sort_keys=False))
    runs = tmp_path / "runs"
    text = call("design", tmp_path / "space.yaml", "-o", runs)
    assert "4 designs; 2 fit together and keep the limits" in text
    assert "which does not divide 4 frames" in text
    with (runs / "small" / "designs.csv").open() as lines:
        designs = list(csv.DictReader(lines))
    assert [row["model.aligner.width"] for row in designs] == ["8", "16"]
    assert (runs / "small" / "designs.svg").read_text().lstrip().startswith("<?xml")
    assert "| width 8, chunk_frames 2 |" in (runs / "small" / "designs.md").read_text()

    study = runs / "small" / "study.yaml"
    assert "width 8, chunk_frames 2" in call("check", study)
    call("ablate", study, "-o", runs)
    text = call("rank", study, "-o", runs)
    assert "small, moving-shapes accuracy: 3 rows, 1 seed, " in text
    assert "of 3 pairs differ significantly" in text
    assert "multiply-accumulates" in (runs / "small" / "ranking.md").read_text()
    assert "accuracy, %" in (runs / "small" / "ranking.svg").read_text()
    assert "in B " in call("rank", study, study, "-o", runs)
