"""One evaluation by several processes, whole and after kills: the answers of one process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from vlmkit.evaluation import BenchmarkResult, read_result
from vlmkit.spec.experiment import ExperimentSpec

NAMES = ("predictions.jsonl", "other-video_predictions.jsonl")
Launch = Callable[..., subprocess.Popen[str]]


@pytest.fixture(scope="module")
def spec_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec of a tiny random model, which is measured on two dozen questions about drawn clips, twice."""
    folder = tmp_path_factory.mktemp("sharded")
    llama = {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    llama |= {"num_key_value_heads": 2, "intermediate_size": 32, "initializer_range": 0.5}
    tokenizer = {"text": ["which colour what shape is it how many fast left right"], "vocab_size": 300}
    aligner = {"type": "stab", "width": 32, "patch": 8, "heads": 2, "projector": "identity"}
    spec = {
        "vlmkit": 1,
        "name": "measured",
        "model": {
            "aligner": {**aligner, "input": {"size": 48, "multiple": 16}},
            "backbone": {"type": "hf-causal-lm", "init": "random", "config": llama, "tokenizer": tokenizer},
        },
        "evaluation": {
            "benchmarks": [{"name": "moving-shapes", "dataset": {"clips": 16, "size": 32, "root": str(folder)}}],
            "batch_size": 4,
            "max_new_tokens": 6,
            "controls": ["other-video"],
            "workers": 1,
        },
    }
    ExperimentSpec.model_validate(spec)
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    return folder / "spec.yaml"


@pytest.fixture(scope="module")
def launch(spec_file: Path) -> Launch:
    """Starts `vlmkit eval`, alone or under torchrun."""

    def start(folder: str, *more: str, ranks: int = 0) -> subprocess.Popen[str]:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks else []
        command = [
            sys.executable,
            *torchrun,
            "-m",
            "vlmkit",
            "eval",
            str(spec_file),
            "--output",
            str(spec_file.parent / folder),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            [*command, *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def end(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=200)
    assert not process.returncode, err[-3000:]
    return out + err


def answers(spec_file: Path, folder: str) -> tuple[list[bytes], BenchmarkResult]:
    """All answers and the result; there are no files of shares any more."""
    place = spec_file.parent / folder / "measured/eval/moving-shapes"
    assert sorted(file.name for file in place.glob("*.jsonl")) == sorted(NAMES)
    return [(place / name).read_bytes() for name in NAMES], read_result(place / "result.json")


@pytest.fixture(scope="module")
def alone(launch: Launch, spec_file: Path) -> tuple[list[bytes], BenchmarkResult]:
    """Answers and result of one process."""
    end(launch("one"))
    return answers(spec_file, "one")


def test_processes_answer_what_one_does(
    launch: Launch, spec_file: Path, alone: tuple[list[bytes], BenchmarkResult]
) -> None:
    expected, one = alone
    said = {line.partition(b'"prediction": ')[2].partition(b', "checksum"')[0] for line in expected[0].splitlines()}
    assert len(said) > 12, "answers in the wrong places would be seen"

    printed = end(launch("ranks", ranks=2))
    assert printed.count("moving-shapes accuracy") == 1
    found, result = answers(spec_file, "ranks")
    assert found == expected
    assert (result.metrics, result.n, result.asked) == (one.metrics, one.n, one.asked)

    shards = [launch("shards", "--shard", f"{number}/3", "--set", "evaluation.batch_size=7") for number in (1, 2, 3)]
    printed = "".join(map(end, shards))
    if "moving-shapes accuracy" not in printed:  # the last two have ended at once
        end(launch("shards", "--set", "evaluation.batch_size=7"))
    assert answers(spec_file, "shards")[0] == expected


def test_killed_processes_lose_nothing(
    launch: Launch, spec_file: Path, alone: tuple[list[bytes], BenchmarkResult]
) -> None:
    place = spec_file.parent / "killed/measured/eval/moving-shapes"
    kept: list[int] = []
    for _ in range(2):
        process = launch("killed", "--shard", "1/1", "--set", "evaluation.batch_size=2")
        while process.poll() is None and _lines(place) < 6 + (kept[-1] if kept else 0):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kept.append(_lines(place))
    assert kept[0] >= 6
    assert kept[1] >= kept[0]
    end(launch("killed", "--set", "evaluation.batch_size=2", "--shard", "2/2"))
    end(launch("killed", "--set", "evaluation.batch_size=2", "--shard", "1/2"))
    assert answers(spec_file, "killed")[0] == alone[0]


def _lines(place: Path) -> int:
    return sum(file.read_bytes().count(b"\n") for file in place.glob("*.jsonl"))
