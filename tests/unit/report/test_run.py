"""Reading a run folder, finished or not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.report.run import read_run


def test_everything_that_a_finished_run_holds(run_folder: Path) -> None:
    run = read_run(run_folder)
    assert run.spec is not None
    assert list(run.stages) == ["language", "align"]
    assert [len(log.rows) for log in run.stages.values()] == [30, 50]
    assert run.results["shapes"]["n"] == 60
    assert run.composition["parts"]["aligner"] == 103424
    assert run.bad == []
    assert run.trained
    assert run.started <= run.ended


def test_what_is_absent_is_empty(run_folder: Path) -> None:
    for name in ("environment.json", "model.json", "eval/shapes/result.json", "stages/2-align/metrics.jsonl"):
        (run_folder / name).unlink()
    run = read_run(run_folder)
    assert (run.environments, run.composition, run.results) == ([], {}, {})
    assert list(run.stages) == ["language"]


def test_a_torn_last_line_is_no_line(run_folder: Path) -> None:
    log = run_folder / "stages/1-language/metrics.jsonl"
    log.write_text(log.read_text() + '{"step": 310, "langu')
    assert read_run(run_folder).stages["language"].rows[-1]["step"] == 300


def test_of_a_repeated_step_the_last_line_counts(run_folder: Path) -> None:
    log = run_folder / "stages/1-language/metrics.jsonl"
    log.write_text(log.read_text() + json.dumps({"step": 10, "language_loss": 99.0}) + "\n")
    rows = read_run(run_folder).stages["language"].rows
    assert len(rows) == 30
    assert rows[0]["language_loss"] == 99.0


def test_a_spec_that_no_longer_validates_keeps_its_text(run_folder: Path) -> None:
    path = run_folder / "spec.yaml"
    path.write_text(path.read_text().replace("type: look", "type: gone"))
    run = read_run(run_folder)
    assert run.spec is None
    assert "gone" in run.spec_problem
    assert run.options["model"]["aligner"]["type"] == "gone"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model.json", "{", "model.json: expected JSON"),
        ("environment.json", "{}", "expected a JSON list, found a dict"),
        ("stages/1-language/metrics.jsonl", "{}\nx\n", "metrics.jsonl, line"),
        ("bad_samples.jsonl", "[]x\n", "bad_samples.jsonl, line 1"),
    ],
)
def test_a_malformed_file_is_named(run_folder: Path, name: str, text: str, message: str) -> None:
    (run_folder / name).write_text(text)
    with pytest.raises(RunError, match=message):
        read_run(run_folder)
