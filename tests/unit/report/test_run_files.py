"""Reading a run folder, finished or not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlmkit.errors import RunError, UserError
from vlmkit.report import write_report
from vlmkit.report.run_files import ComponentOutline, read_run


def test_everything_that_a_finished_run_holds(run_folder: Path) -> None:
    run = read_run(run_folder)
    assert run.experiment is not None
    assert list(run.logs) == ["language", "align"]
    assert [len(lines) for lines in run.logs.values()] == [30, 50]
    assert run.results["shapes"].n == 60
    assert run.summary is not None
    assert run.summary.parts["aligner"] == 103424
    assert run.bad == []
    assert run.trained
    assert run.started <= run.ended


def test_what_is_absent_is_empty(run_folder: Path) -> None:
    for name in ("environment.json", "model.json", "eval/shapes/result.json", "stages/2-align/metrics.jsonl"):
        (run_folder / name).unlink()
    run = read_run(run_folder)
    assert (run.environments, run.summary, run.results) == ([], None, {})
    assert list(run.logs) == ["language"]


def test_a_stage_is_numbered_by_plain_digits(run_folder: Path) -> None:
    for number in ("²", "٣", "x"):
        shutil.copytree(run_folder / "stages/1-language", run_folder / f"stages/{number}-odd{number}")
    assert {"language", "align", "odd²"} <= set(read_run(run_folder).logs)


def test_a_torn_last_line_is_no_line(run_folder: Path) -> None:
    log = run_folder / "stages/1-language/metrics.jsonl"
    log.write_text(log.read_text() + '{"step": 310, "langu')
    assert read_run(run_folder).logs["language"][-1].step == 300


def test_of_a_repeated_step_the_last_line_counts(run_folder: Path) -> None:
    log = run_folder / "stages/1-language/metrics.jsonl"
    log.write_text(log.read_text() + json.dumps({"step": 10, "language_loss": 99.0}) + "\n")
    lines = read_run(run_folder).logs["language"]
    assert len(lines) == 30
    assert lines[0].language_loss == 99.0


def test_a_spec_that_no_longer_validates_keeps_its_text(run_folder: Path) -> None:
    path = run_folder / "spec.yaml"
    path.write_text(path.read_text().replace("type: look", "type: gone"))
    run = read_run(run_folder)
    assert run.experiment is None
    assert "gone" in run.spec_problem
    assert run.spec.model.aligner.type == "gone"


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="expected a run folder"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("model.json", "{", "model.json: expected JSON"),
        ("model.json", '{"name": "tiny", "parts": 3}', "model.json: parts: expected a mapping"),
        (
            "model.json",
            json.dumps({"name": "x", "parts": {}, "tokens": {}, "macs": 10**400}),
            "model.json: macs: expected",
        ),
        ("environment.json", "{}", "environment.json: expected a list"),
        ("environment.json", "[{}]", "environment.json: expected the key 0.plugins"),
        ("stages/1-language/metrics.jsonl", '{"step": 1}\nx\n', "metrics.jsonl, line 2: expected JSON"),
        ("stages/1-language/metrics.jsonl", "{}\n", "metrics.jsonl, line 1: expected the key step"),
        (
            "stages/1-language/metrics.jsonl",
            '{"step": 1, "seconds_per_step": NaN}\n',
            "metrics.jsonl, line 1: seconds_per_step: expected",
        ),
        ("bad_samples.jsonl", "[]x\n", "bad_samples.jsonl, line 1"),
        ("bad_samples.jsonl", "{}\n", "bad_samples.jsonl, line 1: expected the key id"),
        ("eval/shapes/result.json", "{}", "result.json: expected the key benchmark"),
        ("eval/shapes/result.json", '{"n": 60, "metr', "result.json: expected JSON"),
        ("spec.yaml", "vlmkit: [", "spec.yaml:1: not valid YAML"),
        ("spec.yaml", "- vlmkit: 1", "spec.yaml: expected a mapping"),
        ("spec.yaml", "", "spec.yaml: expected the key name"),
    ],
)
def test_a_malformed_file_is_named(run_folder: Path, name: str, text: str, message: str) -> None:
    (run_folder / name).write_text(text)
    with pytest.raises(UserError, match=re.escape(message)):
        read_run(run_folder)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("n", -1, "n: expected"),
        ("n", 10**400, "n: expected"),
        ("limit", {"a": 1}, "limit: expected a whole number"),
        ("annotations", [], "annotations: expected a mapping"),
        ("annotations", {"registered": "no idea"}, "annotations.registered: expected"),
        ("vlmkit_version", ["0.1"], "vlmkit_version: expected text"),
        ("metrics", {"accuracy": {"value": float("nan"), "ci95": [0.0, 1.0]}}, "metrics.accuracy.value: expected"),
        ("metrics", {"accuracy": {"value": 0.5, "ci95": [0.0, float("inf")]}}, "metrics.accuracy.ci95.1: expected"),
    ],
)
def test_a_result_of_another_kind_is_named(run_folder: Path, key: str, value: Any, said: str) -> None:
    path = run_folder / "eval/shapes/result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(RunError, match=re.escape(f"result.json: {said}")):
        write_report(run_folder)


@pytest.mark.parametrize("step", [-1, 10**400, True, 1.5, "1", None])
def test_a_step_is_a_whole_number(run_folder: Path, step: Any) -> None:
    (run_folder / "stages/1-language/metrics.jsonl").write_text(json.dumps({"step": step}) + "\n")
    with pytest.raises(RunError, match=r"metrics\.jsonl, line 1: step: expected "):
        write_report(run_folder)


def test_a_spec_that_ends_early_is_refused_wherever_it_does(run_folder: Path) -> None:
    """Some of its beginnings are valid YAML."""
    path = run_folder / "spec.yaml"
    lines = path.read_text().splitlines(keepends=True)
    ends = [number for number, line in enumerate(lines) if line.startswith("evaluation:")]
    for number in range(ends[0] + 1):
        path.write_text("".join(lines[:number]))
        with pytest.raises(UserError, match=r"spec\.yaml"):
            read_run(run_folder)


@pytest.mark.parametrize(
    ("name", "text"),
    [("predictions.jsonl", '{"prediction": "left"}\n'), ("verdicts.sqlite", "no verdicts")],
)
def test_damaged_answers_stop_the_page(run_folder: Path, name: str, text: str) -> None:
    (run_folder / "eval/shapes" / name).write_text(text)
    with pytest.raises(RunError, match=name):
        write_report(run_folder)


def test_a_page_that_cannot_be_written_is_a_clear_error(run_folder: Path) -> None:
    (run_folder / "report.html").mkdir()
    with pytest.raises(RunError, match=r"report\.html: expected a file, found a folder"):
        write_report(run_folder)


def test_a_component_with_its_slots() -> None:
    options = {"type": "stab", "width": 96, "input": {"frames": 8}, "downsampler": {"type": "lsd"}}
    assert str(ComponentOutline(**options)) == "stab (downsampler lsd)"
    assert str(ComponentOutline(type="talk")) == "talk"
