"""`~` means the home folder in every path that a user gives, and stays `~` in what is stored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

import vlmkit
from vlmkit.cli import main
from vlmkit.errors import DataError
from vlmkit.model import load
from vlmkit.report import write_report
from vlmkit_datasets.spec import MovingShapesSpec

CANVAS = {"frames": 4, "size": 32, "multiple": 16, "fit": "squash"}
LLAMA = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
MODEL = {
    "aligner": {"type": "stab", "width": 16, "patch": 8, "heads": 2, "input": CANVAS},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": LLAMA | {"num_attention_heads": 2},
        "tokenizer": {"text": ["which colour red"], "vocab_size": 270},
    },
}
BENCHMARK = {"name": "msvd-qa", "annotations": [{"path": "~/qa/qa.json"}], "video_root": "~/clips"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with clips, conversations and questions; the current folder is another one."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    for folder in (home / "qa", elsewhere):
        folder.mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.chdir(elsewhere)
    shapes = MovingShapesSpec.model_validate({"clips": 8, "size": 32, "root": "~/shapes"})
    shapes.prepare()
    assert shapes.video_root().is_relative_to(home)
    assert MovingShapesSpec().folder().is_relative_to(home / ".cache")
    clip = sorted(shapes.video_root().glob("*.mp4"))[0]
    (home / "clips").mkdir()
    clip.rename(home / "clips" / "a.mp4")
    said = [{"from": "human", "value": "<video>\nwhich colour"}, {"from": "gpt", "value": "red"}]
    (home / "talks.json").write_text(json.dumps([{"id": i, "video": "a.mp4", "conversations": said} for i in range(2)]))
    rows = [{"id": 1, "video": "a", "question": "which colour", "answer": "red"}]
    (home / "qa" / "qa.json").write_text(json.dumps(rows))
    return home


def write(folder: Path, name: str, **parts: Any) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"vlmkit": 1, "name": name, **parts}))
    return path


def test_every_path_may_begin_in_the_home_folder(home: Path) -> None:
    data = {"type": "llava-json", "path": "~/talks.json", "video_root": "~/clips"}
    teacher = {"type": "hog", "cache": "~/features", "input": CANVAS | {"size": 28, "multiple": 14}}
    stage = {"name": "all", "data": [data], "train": {"aligner": 1e-3, "distillation": 1e-3}, "batch_size": 2}
    training = {"stages": [stage | {"steps": 1}], "distillation": {"teacher": teacher, "layer_rate": 1, "heads": 1}}
    spec = write(home, "one", model=MODEL, training=training, evaluation={"benchmarks": [BENCHMARK]})
    run = vlmkit.run(spec, "~/runs")
    assert run.path == home / "runs" / "one"
    assert (home / "features").is_dir()
    model, processor = load("~/runs/one/model")
    assert (
        processor.fit("~/clips/a.mp4").num_frames_present == processor.fit(home / "clips" / "a.mp4").num_frames_present
    )
    assert model is not None
    assert write_report(Path("~/runs/one")) == run.path / "report.html"

    weights = MODEL | {"weights": "~/runs/one/model"}
    evaluation = {"benchmarks": [BENCHMARK | {"video_root": str(home / "clips")}]}
    again = vlmkit.run(write(home, "two", model=weights, evaluation=evaluation), "~/runs")
    answers = [(path / "eval" / "msvd-qa" / "predictions.jsonl").read_text() for path in (run.path, again.path)]
    assert json.loads(answers[0])["prediction"] == json.loads(answers[1])["prediction"]

    assert list(Path.cwd().iterdir()) == [], "nothing lies in a folder that is called ~"
    assert "~/talks.json" in (run.path / "spec.yaml").read_text()
    for stored in (run.path / "spec.yaml", run.path / "eval" / "msvd-qa" / "result.json"):
        assert str(home) not in stored.read_text(), "what is stored does not tell whose home folder it is"


@pytest.mark.parametrize("command", ["eval", "report"])
def test_the_command_line(
    home: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = write(home, "one", model=MODEL, evaluation={"benchmarks": [BENCHMARK]})
    vlmkit.run(spec, home / "runs")
    last = {"eval": [str(spec), "--output=~/runs"], "report": ["~/runs/one"]}[command]
    monkeypatch.setattr("sys.argv", ["vlmkit", command, *last])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    assert str(home / "runs" / "one" / "report.html") in capsys.readouterr().out


@pytest.mark.parametrize("key", ["video_root", "annotation_root", "annotations", "weights", "output"])
def test_no_such_home_folder(home: Path, key: str) -> None:
    model, use, output = dict(MODEL), dict(BENCHMARK), "~/runs"
    if key == "weights":
        model["weights"] = "~nobody-here/model"
    elif key == "output":
        output = "~nobody-here/runs"
    elif key == "annotations":
        use["annotations"] = [{"path": "~nobody-here/qa.json"}]
    else:
        use[key] = "~nobody-here/x"
        if key == "annotation_root":
            del use["annotations"]
    with pytest.raises(DataError, match="`~nobody-here` is no home folder here; write the whole path"):
        vlmkit.run(write(home, "one", model=model, evaluation={"benchmarks": [use]}), output)
