"""Real clips, and a real model: measured in one go, and after a kill in the middle."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import vlmkit
from vlmkit import hookimpl
from vlmkit.errors import CheckpointError, RunError, SpecError
from vlmkit.evaluation import evaluate_benchmarks, read_scored
from vlmkit.model import VideoLM, compose
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
}
KILLED = """
import os, signal, sys
import torch
from vlmkit.evaluation import evaluate_benchmarks
from vlmkit.model import VideoLM
from vlmkit.run_folder import RunFolder
torch.set_num_threads(1)
run, calls, generate = RunFolder(sys.argv[1]), [], VideoLM.generate
def dies(self, **inputs):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return generate(self, **inputs)
VideoLM.generate = dies
evaluate_benchmarks(run.spec(), run)
"""


@pytest.fixture
def spec(tmp_path: Path) -> ExperimentSpec:
    clips = {"clips": 16, "size": 32, "root": str(tmp_path / "clips")}
    aligner = {"type": "stab", "width": 32, "patch": 8, "heads": 2, "projector": "identity"}
    tokenizer = {"text": ["which colour what shape is it how many fast left right"], "vocab_size": 300}
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "measured",
            "model": {
                "aligner": {**aligner, "input": {"size": 48, "multiple": 16}},
                "backbone": {"type": "hf-causal-lm", "init": "random", "config": LLAMA, "tokenizer": tokenizer},
            },
            "evaluation": {
                "benchmarks": [{"name": "moving-shapes", "dataset": clips}],
                "batch_size": 8,
                "max_new_tokens": 3,
                "controls": ["other-video"],
            },
        }
    )


class Observer:
    """A plugin that listens."""

    def __init__(self) -> None:
        self.heard: list[tuple[Path, str, int]] = []

    @hookimpl
    def vlmkit_evaluated(self, run: Path, benchmark: str, result: dict[str, Any]) -> None:
        self.heard.append((run, benchmark, result["n"]))


@pytest.fixture
def observer() -> Iterator[Observer]:
    listening = Observer()
    registry().manager.register(listening)
    yield listening
    registry().manager.unregister(listening)


def test_a_kill_changes_nothing(
    spec: ExperimentSpec, tmp_path: Path, observer: Observer, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    model, processor = compose(spec.model, seed=1)
    whole, killed = (RunFolder.open(spec, tmp_path / name) for name in ("whole", "killed"))
    for run in (whole, killed):
        model.save_pretrained(run.model)
        processor.save_pretrained(run.model)

    expected = evaluate_benchmarks(spec, whole)["moving-shapes"]
    assert (expected.n, expected.skipped, expected.unscored) == (24, 0, 0)
    assert expected.controls["other-video"].n == 24
    assert observer.heard == [(whole.path, "moving-shapes", 24)]
    predictions = [row.answer.prediction for row in read_scored(whole.evaluation("moving-shapes"))]
    assert len(set(predictions)) > 1

    done = subprocess.run([sys.executable, "-c", KILLED, str(killed.path)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    folder = killed.evaluation("moving-shapes")
    lines = [(folder / f"{name}predictions.jsonl").read_text().splitlines() for name in ("", "other-video_")]
    assert len(lines[0]) + len(lines[1]) == 16
    assert not (folder / "result.json").exists()

    calls, generate = [], VideoLM.generate
    monkeypatch.setattr(VideoLM, "generate", lambda self, **inputs: (calls.append(1), generate(self, **inputs))[1])
    continued = evaluate_benchmarks(spec, killed)["moving-shapes"]
    assert len(calls) == 4
    assert continued.data() | {"seconds": 0} == expected.data() | {"seconds": 0}
    for name in ("predictions.jsonl", "other-video_predictions.jsonl"):
        assert (folder / name).read_bytes() == (whole.evaluation("moving-shapes") / name).read_bytes()

    written = json.loads((folder / "result.json").read_text())
    assert evaluate_benchmarks(spec, killed)["moving-shapes"] == continued
    assert written == {**continued.data(), "checksum": written["checksum"]}
    assert len(calls) == 4
    assert len(observer.heard) == 2
    torch.set_num_threads(threads)


def test_without_an_evaluation_there_is_nothing_to_measure(spec: ExperimentSpec, tmp_path: Path) -> None:
    bare = spec.model_copy(update={"evaluation": None})
    with pytest.raises(SpecError, match="this spec has no `evaluation`"):
        evaluate_benchmarks(bare, RunFolder.open(bare, tmp_path))


def test_two_processes_do_not_measure_one_run(spec: ExperimentSpec, tmp_path: Path) -> None:
    run = RunFolder.open(spec, tmp_path)
    with run.locked(), pytest.raises(RunError, match="another process is working on this run"):
        evaluate_benchmarks(spec, run)


def test_without_a_model_nothing_can_be_asked(spec: ExperimentSpec, tmp_path: Path) -> None:
    stage = {"name": "learn", "data": ["moving-shapes"], "train": {"backbone": 1e-3}, "steps": 1}
    trained = ExperimentSpec.model_validate(spec.model_dump(mode="json") | {"training": {"stages": [stage]}})
    with pytest.raises(CheckpointError, match="model"):
        evaluate_benchmarks(trained, RunFolder.open(trained, tmp_path))


def test_a_spec_without_training_measures_the_composed_model(spec: ExperimentSpec, tmp_path: Path) -> None:
    done = vlmkit.run(spec, tmp_path)
    assert done.model_path is None
    assert done.results["moving-shapes"].n > 0
    assert done.report_path is not None
    assert "Started from the weights" not in done.report_path.read_text()
