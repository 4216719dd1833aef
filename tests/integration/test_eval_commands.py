"""A saved model is measured, judged by another judge and measured again, as a new user does it at the command line."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

import vlmkit
from vlmkit.cli import main
from vlmkit.eval_target import eval_target
from vlmkit.evaluation import read_result
from vlmkit.evaluation.evaluate import load_model
from vlmkit.model import VideoLM, compose, load
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 32,
    "initializer_range": 0.5,
}
MODEL = {
    "aligner": {
        "type": "stab",
        "width": 32,
        "patch": 8,
        "heads": 2,
        "projector": "identity",
        "input": {"size": 48, "multiple": 16},
    },
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": LLAMA,
        "tokenizer": {"text": ["which colour what shape is it how many fast left right"], "vocab_size": 300},
    },
}


class Said(NamedTuple):
    """The outcome of a command."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


SECRET = "sk-nobody-should-read-this"


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs `vlmkit` with these arguments, in the folder of the test."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["vlmkit", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return Said(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick: None) -> Path:
    """A folder with a saved model, whose chat template is another one than its spec tells."""
    folder = tmp_path_factory.mktemp("made")
    model = ExperimentSpec.model_validate({"vlmkit": 1, "name": "tiny", "model": MODEL}).model
    composed, processor = compose(model, seed=1)
    processor.tokenizer.chat_template = processor.tokenizer.chat_template.replace("USER", "PERSON")
    composed.save_pretrained(folder / "tiny")
    processor.save_pretrained(folder / "tiny")
    return folder


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many questions each call of the model had."""
    batches: list[int] = []
    generate = VideoLM.generate

    def counted(self: VideoLM, **inputs: object) -> object:
        batches.append(len(inputs["input_ids"]))  # type: ignore[arg-type]
        return generate(self, **inputs)

    monkeypatch.setattr(VideoLM, "generate", counted)
    return batches


@pytest.fixture
def shapes(made: Path) -> list[str]:
    """The options of a small benchmark."""
    dataset = {"clips": 16, "size": 32, "root": str(made / "clips")}
    clips = f"evaluation.benchmarks.moving-shapes.dataset={json.dumps(dataset)}"
    return ["--benchmark", "moving-shapes", "--limit", "6", "--set", clips, "--set", "evaluation.max_new_tokens=3"]


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> str:
    """A judge at a port where nobody listens, with a key in the environment."""
    monkeypatch.setenv("JUDGE_KEY", SECRET)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = {"model": "m", "base_url": f"http://127.0.0.1:{port}/v1", "api_key_env": "JUDGE_KEY", "max_retries": 0}
    return json.dumps({"type": "openai", **options})


def test_a_saved_model_is_measured_judged_and_measured_again(
    made: Path, shapes: list[str], dead: str, call: Call, asked: list[int], tmp_path: Path
) -> None:
    model = str(made / "tiny")
    cost = call("eval", model, *shapes, "--control", "no-video", "--judge", dead, "--dry-run")
    assert cost.out.startswith(
        "moving-shapes: 12 questions, 12 of them to be asked; 12 answers to judge, 12 of them new; judge openai: 12 "
    )
    assert not (tmp_path / "runs").exists()

    first = call("eval", model, *shapes, "--control", "no-video")
    assert first.code == 0, first.err
    assert "moving-shapes accuracy 0.000" in first.out
    assert "6 questions, protocol authors@1, judge exact" in first.out
    assert sum(asked) == 12, "questions, and those without a video"
    folder = tmp_path / "runs/tiny/eval/moving-shapes"
    measured = read_result(folder / "result.json")
    assert (measured.limit, list(measured.controls)) == (6, ["no-video"])
    assert "runs/tiny/report.html" in first.out
    cost = call("eval", "runs/tiny", "--dry-run")
    assert cost.out == "moving-shapes: 12 questions, 0 of them to be asked; 12 answers to judge, 0 of them new\n"

    cost = call("judge", "runs/tiny", "--judge", dead, "--dry-run")
    assert cost.code == 0
    assert cost.out.startswith("moving-shapes: 12 answers to judge, 12 of them new; judge openai: 12 new requests")
    assert read_result(folder / "result.json") == measured

    failed = call("judge", "runs/tiny", "--judge", dead)
    assert failed.code == 2
    assert "before: exact" in failed.out
    assert "moving-shapes: 6 of 6 answers have no verdict of judge openai" in failed.err
    assert "APIConnectionError" in failed.err
    assert "Traceback" not in failed.err
    assert read_result(folder / "result.json").unscored == 6, "the result is written before the command fails"
    assert call("report", "runs/tiny").code == 0
    written = [file for file in (tmp_path / "runs").rglob("*") if file.is_file()]
    assert any(file.name == "report.html" for file in written)
    assert not any(SECRET.encode() in file.read_bytes() for file in written)
    assert SECRET not in failed.out + failed.err

    again = call("eval", "runs/tiny")
    assert again.code == 0
    assert read_result(folder / "result.json").data() | {"seconds": 0} == measured.data() | {"seconds": 0}
    assert call("judge", "runs/tiny").code == 0
    assert sum(asked) == 12, "nothing is asked again"
    code = "import sys; from vlmkit.judgement import judge; judge('runs/tiny'); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)

    other = call("eval", "runs/tiny", "--judge", dead)
    assert other.code == 2
    assert "moving-shapes: 6 of 6 answers have no verdict of judge openai" in other.err
    assert call("eval", "runs/tiny", "--judge", dead, "--set", "evaluation.max_unscored_fraction=1").code == 0


def test_a_saved_model_is_loaded_as_it_was_saved(made: Path, tmp_path: Path) -> None:
    target = eval_target(made / "tiny", tmp_path, ["moving-shapes"])
    model, processor = load_model(target.spec, RunFolder(target.path))
    saved, own = load(made / "tiny")
    assert "PERSON" in processor.tokenizer.chat_template
    assert processor.prompt("who?") == own.prompt("who?")
    for name, parameter in saved.named_parameters():
        assert torch.equal(model.get_parameter(name).cpu(), parameter), name


def test_results_of_an_earlier_benchmark_stay(made: Path, shapes: list[str], call: Call, tmp_path: Path) -> None:
    model = str(made / "tiny")
    assert call("eval", model, *shapes).code == 0
    label = ["--set", "evaluation.benchmarks.moving-shapes.label=again", "--split", "test"]
    second = call("eval", model, *shapes, *label)
    assert second.code == 0, second.err
    assert "moving-shapes accuracy" not in second.out
    folders = sorted((tmp_path / "runs/tiny/eval").iterdir())
    assert [read_result(folder / "result.json").n for folder in folders] == [6, 6]
    assert [folder.name for folder in folders] == ["again", "moving-shapes"]
    run = vlmkit.evaluate(tmp_path / "runs/tiny", benchmarks=["again"])
    assert list(run.results) == ["again"]


MISTAKES = {
    "there is no benchmark 'moving-shape'; did you mean 'moving-shapes'?": "eval TINY --benchmark moving-shape",
    "it has no `evaluation`, so there is nothing to measure; name a benchmark with --benchmark": "eval TINY",
    "nowhere: expected a spec file, a run folder or the folder of a saved model": "eval nowhere",
    "msvd-qa, split test: set `annotation_root` (--annotation-root) to the folder": "eval TINY --benchmark msvd-qa",
    "no installed plugin offers judge 'exakt'; did you mean 'exact'?": "eval TINY --benchmark mvbench --judge exakt",
    "there is no split 'best'": "eval TINY --benchmark moving-shapes --split best",
    "there is no protocol 'mine'": "eval TINY --benchmark moving-shapes --protocol mine",
    "'other-video', 'no-video', 'shuffled-frames'": "eval TINY --benchmark moving-shapes --control sound",
    "expected a share like 3/16": "eval TINY --benchmark moving-shapes --limit 1 --shard 17/16",
    "runs/tiny: expected a run folder; there is no such folder": "judge runs/tiny",
    "it holds no answers; `vlmkit eval` or `vlmkit answers import` makes some": "judge TINY",
    "--judge: '{type:' is not valid YAML": "judge TINY --judge {type:",
}


@pytest.mark.parametrize("message", MISTAKES)
def test_mistakes_are_one_message(message: str, made: Path, call: Call) -> None:
    said = call(*MISTAKES[message].replace("TINY", str(made / "tiny")).split())
    assert (said.code, said.out) == (2, "")
    assert message in said.err
    assert "Traceback" not in said.err
