"""`vlmkit bench` on small specs."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from vlmkit.api import VideoBatch
from vlmkit.bench import EvaluationOptions, TimingOptions, bench_evaluation, bench_vision, throughput, vision
from vlmkit.cli import app
from vlmkit.errors import UserError
from vlmkit.formatting import large
from vlmkit.spec.loading import load_spec

SPEC = "specs/quickstart.yaml"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "_ROUND", 0.0001)


def bench(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["bench", "vision", "--threads", "1", *map(str, arguments)])


def test_what_a_benchmark_leaves(tmp_path: Path) -> None:
    done = bench(SPEC, "--rounds", "2", "--train", "--output", tmp_path / "new" / "folder")
    assert done.exit_code == 0, done.output
    figures = json.loads((tmp_path / "new" / "folder" / "vision.json").read_text())
    (result,) = figures["results"]
    model = load_spec(SPEC).model
    parameters = sum(parameter.numel() for parameter in model.aligner.build(model.backbone.width).parameters())
    assert (result["parameters"], result["tokens"], result["frames"]) == (parameters, 52, 4)
    assert f"{parameters:,}" in done.output
    assert len(result["seconds"]) == len(result["train_seconds"]) == 2
    assert result["median"] > 0
    assert result["train_to_forward"] > 1
    assert result["macs"] > 0
    assert large(result["macs"]) in done.output  # of a small model too
    assert figures["machine"]["matmul_gmacs_per_second"] > 0
    assert (tmp_path / "new" / "folder" / "vision.svg").read_text().startswith("<?xml")


def test_the_fraction_counts_every_video_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pass of 2 seconds beside a matrix product of 5 multiply-accumulates per second."""
    monkeypatch.setattr(vision, "_peak", lambda *_: None)
    monkeypatch.setattr(vision._TimedAligner, "warm", lambda *_: None)
    monkeypatch.setattr(vision, "matmul_rate", lambda *_: 5.0)
    monkeypatch.setattr(vision, "timed", lambda *_: 2.0)
    (result,) = bench_vision([load_spec(SPEC)], TimingOptions(rounds=2, batch=3, threads=1))
    assert result.fractions == pytest.approx([result.macs * 3 / 2 / 5] * 2)


def test_equal_names_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vision, "_peak", lambda *_: None)
    other = tmp_path / "spec.yaml"
    other.write_text(Path(SPEC).read_text())
    done = bench(SPEC, other, "--rounds", "1", "--output", tmp_path)
    names = ["quickstart (specs/quickstart.yaml)", f"quickstart ({tmp_path.name}/spec.yaml)"]
    assert all(name in done.output for name in names)
    assert [result["name"] for result in json.loads((tmp_path / "vision.json").read_text())["results"]] == names
    chart = (tmp_path / "vision.svg").read_text()
    assert all(name in chart for name in names)
    assert not done.exception


@pytest.mark.parametrize("taken", ["out", "out/folder"])
def test_a_folder_that_cannot_be_made_is_said_before_measuring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str
) -> None:
    monkeypatch.setattr("vlmkit.bench.bench_vision", lambda *_: pytest.fail("measured"))
    (tmp_path / "out").write_text("a file stands here")
    assert f"--output {tmp_path / taken}: " in str(bench(SPEC, "--output", tmp_path / taken).exception)


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("cuda", 0, "no GPU"),
        ("cuda:2", 2, "cuda:0 to cuda:1"),
        ("meta", 2, "expected cpu, cuda or cuda:N"),
        ("xpu", 0, "expected cpu, cuda or cuda:N"),
        ("foo", 0, "expected cpu, cuda or cuda:N"),
    ],
)
def test_a_device_that_is_not_there_is_said(
    monkeypatch: pytest.MonkeyPatch, device: str, gpus: int, message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)
    assert message in str(bench(SPEC, "--device", device).exception)


def _compile_by(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    torch._dynamo.reset()
    monkeypatch.setattr(vision, "_peak", vision._peak_here)  # the backend is known to this process only
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))


def test_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    _compile_by(monkeypatch, "eager")
    (result,) = bench_vision([load_spec(SPEC)], TimingOptions(rounds=1, threads=1, compile=True, train=True))
    assert len(result.seconds) == len(result.train_seconds) == 1


def test_what_cannot_be_compiled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no compiler here")

    _compile_by(monkeypatch, broken)
    message = str(bench(SPEC, "--compile").exception)
    assert "quickstart: torch.compile cannot" in message
    assert "no compiler here" in message


def test_a_guard_that_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def guarded(_: VideoBatch) -> None:
        raise AssertionError("Guard failed on the same frame it was created.")

    monkeypatch.setattr(vision, "_peak", vision._peak_here)
    monkeypatch.setattr(torch, "compile", lambda _: guarded)
    assert "quickstart: torch.compile cannot" in str(bench(SPEC, "--compile").exception)


def test_an_evaluation_is_measured_in_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    options = ["--clips", "3", "--size", "32", "--rounds", "2", "--batch-size", "4", "--workers", "1"]
    done = CliRunner().invoke(app, ["bench", "evaluation", SPEC, *options, "--max-new-tokens", "2"])
    assert done.exit_code == 0, done.output
    assert "15 questions about 3 clips, 1 threads, the same answers in both ways" in done.output
    rows = [line.split() for line in done.output.splitlines()[-3:]]
    assert rows[0][:3] == ["way", "median", "questions/s"]
    assert rows[1][:4] == ["one", "at", "a", "time"]
    assert rows[2][:5] == ["batches", "of", "4,", "1", "workers"]
    assert "1.00" in rows[1]


def test_answers_that_differ_are_no_measurement(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "_one_at_a_time", lambda asked, *_: ["no such word"] * len(asked))
    options = EvaluationOptions(clips=1, size=32, batch_size=8, workers=0, max_new_tokens=1, rounds=1)
    with pytest.raises(UserError, match="quickstart: 5 of 5 answers differ between the two ways to ask"):
        bench_evaluation(load_spec(SPEC), tmp_path, options)
