"""A run with a real tiny model and invented scores, in a folder whose name must not be told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from vlmkit.evaluation.fingerprint import model_sha256
from vlmkit.evaluation.records import BenchmarkResult, write_result
from vlmkit.json_files import stamped_comment, write_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import read_resolved, resolved

TELLING = "alice-hidden-project"
"""A part of every path of the run."""
PLATFORM = "Linux-6.1.0-secretkernel-x86_64-with-glibc2.36"


def experiment(model: Path, folder: Path) -> dict[str, Any]:
    """A spec that names files of this machine wherever it can."""
    said = json.loads((model / "config.json").read_text())["model"]
    shapes = {"type": "moving-shapes", "clips": 50, "root": str(folder / "clips")}
    return {
        "vlmkit": 1, "name": "tiny", "seed": 7,
        "model": {**said, "weights": str(folder / "start")},
        "training": {
            "stages": [
                {"name": "align", "data": [shapes], "train": {"aligner": 1e-3}, "steps": 30, "batch_size": 4},
                {"name": "tune", "data": [shapes], "train": {"aligner": 2e-4, "backbone": 1e-4}, "epochs": 1},
            ],
        },
        "evaluation": {
            "benchmarks": [{"name": "moving-shapes", "video_root": str(folder / "videos")}, "msvd-qa"],
            "benchmarks_path": [str(folder)],
            "judge": {"type": "openai", "model": "some-judge", "base_url": "http://alice:pw@gpu-7:8000/v1"},
            "controls": ["other-video"],
        },
    }  # fmt: skip


def scores(value: float, low: float, high: float) -> dict[str, Any]:
    """One metric of one result."""
    return {"n": 100, "metrics": {"accuracy": {"value": value, "ci95": [low, high]}}}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The folder that holds the run."""
    folder = tmp_path / TELLING
    folder.mkdir()
    return folder


@pytest.fixture
def run(place: Path, talker: Path) -> Path:
    """A finished run of two stages, measured on one of its two benchmarks."""
    folder = place / "runs" / "tiny"
    shutil.copytree(talker, folder / "model")
    spec = ExperimentSpec.model_validate(experiment(talker, place))
    (folder / "spec.yaml").write_text(stamped_comment(resolved(spec)))
    environment = {"python": "3.11.4", "platform": PLATFORM, "cpus": 2, "packages": {"torch": "2.13.0"}, "plugins": []}
    write_record(folder / "environment.json", [environment])
    for number, name, steps in ((1, "align", 30), (2, "tune", 12)):
        stage = folder / "stages" / f"{number}-{name}"
        stage.mkdir(parents=True)
        write_record(stage / "data.json", [{"type": "moving-shapes", "samples": 48, "fingerprint": "0"}])
        line = {"step": steps, "loss": 0.25, "seconds_per_step": 0.5}
        (stage / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    measured(folder, "moving-shapes")
    return folder


def measured(run: Path, name: str, **changes: Any) -> None:
    """Write an invented result."""
    spec = read_resolved(run / "spec.yaml")
    control = {**scores(0.25, 0.2, 0.31), "by_type": {}}
    result = {
        "benchmark": "moving-shapes", "version": "1", "split": "test", "protocol": "authors@1", "limit": 105,
        "judge": {"name": "openai", "version": "1: some-judge at gpu-7:8000/v1 (vlmkit 0.1.0)"},
        "model_sha256": model_sha256(spec, RunFolder(run)),
        "decoding": {"greedy": True, "max_new_tokens": 8, "batch_size": 4, "frames": 16, "sampling": "uniform"},
        **scores(0.7, 0.6, 0.79), "skipped": 3, "unscored": 2, "unreadable": 4,
        "by_type": {"colour|shade": scores(0.8, 0.7, 0.9), "count": scores(0.6, 0.5, 0.7)},
        "controls": {"other-video": {**control, "difference": scores(0.45, 0.4, 0.5)["metrics"]}},
        "spec_sha256": "0", "vlmkit_version": "0.1.0",
    }  # fmt: skip
    file = run / "eval" / name / "result.json"
    file.parent.mkdir(parents=True)
    write_result(file, BenchmarkResult.model_validate({**result, **changes}))
