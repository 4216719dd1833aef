"""A multiple-choice benchmark in a folder, a real model, and all controls: what changes, and what stays as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from vlmkit.evaluation import evaluate_benchmarks, read_scored
from vlmkit.model import VideoLM, compose
from vlmkit.registry import validate_slot
from vlmkit.report import write_report
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

CONTROLS = ["other-video", "no-video", "shuffled-frames", "reversed-frames", "single-frame", "permuted-options"]
OPTIONS = ["a red square", "a green circle", "a blue star"]
LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "intermediate_size": 64,
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six clips, two questions about each, and the entry `shapes-choice` with its annotations beside it."""
    options = {"type": "moving-shapes", "clips": 6, "size": 32, "root": tmp_path / "drawn"}
    dataset: Any = validate_slot("dataset", options)
    dataset.prepare()
    clips = sorted(clip.name for clip in dataset.video_root().glob("*.mp4"))
    rows = [
        {"id": f"{clip}-{n}", "video": clip, "question": f"What is {word}?", "options": OPTIONS, "answer": OPTIONS[n]}
        for clip in clips
        for n, word in enumerate(("there", "moving"))
    ]
    entry = tmp_path / "benchmarks" / "shapes-choice"
    entry.mkdir(parents=True)
    (entry / "README.md").write_text("# Shapes\n")
    (entry / "questions.json").write_text(json.dumps(rows))
    written = {
        "title": "Shapes, by choice",
        "paper": "none",
        "license": "none",
        "version": "1",
        "default_split": "test",
        "splits": {"test": {"files": [{"name": "questions.json", "source": "here"}]}},
        "annotations": {"options": {"column": "options"}},
        "video": {"file": "{video}"},
        "generation": {"max_new_tokens": 3},
        "evaluator": {"type": "multiple-choice"},
        "metrics": ["accuracy"],
        "protocols": {
            "authors": {"version": "1", "source": "here"},
            "likeliest": {
                "version": "1",
                "source": "here",
                "evaluator": {"output_type": "loglikelihood", "continuation": "{text}"},
            },
        },
    }
    (entry / "benchmark.yaml").write_text(yaml.safe_dump(written))
    return dataset.video_root()


@pytest.fixture
def spec(folder: Path, tmp_path: Path) -> ExperimentSpec:
    """A random model, measured under both protocols with all controls."""
    aligner = {"type": "stab", "width": 32, "patch": 8, "heads": 2, "projector": "identity"}
    tokenizer = {"text": ["what is there moving a red green blue square circle star"], "vocab_size": 300}
    use = {"name": "shapes-choice", "video_root": str(folder)}
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "controlled",
            "model": {
                "aligner": {**aligner, "input": {"size": 48, "multiple": 16, "frames": 4}},
                "backbone": {"type": "hf-causal-lm", "init": "random", "config": LLAMA, "tokenizer": tokenizer},
            },
            "evaluation": {
                "benchmarks": [use, {**use, "label": "likeliest", "protocol": "likeliest"}],
                "benchmarks_path": [str(tmp_path / "benchmarks")],
                "controls": CONTROLS,
                "batch_size": 5,
            },
        }
    )


def test_controls_take_away_what_they_say_and_nothing_else(
    spec: ExperimentSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    encoded: list[int] = []
    features = VideoLM.get_video_features
    monkeypatch.setattr(
        VideoLM, "get_video_features", lambda self, **given: (encoded.append(1), features(self, **given))[1]
    )
    model, processor = compose(spec.model, seed=1)
    run = RunFolder.open(spec, tmp_path / "runs")
    model.save_pretrained(run.model)
    processor.save_pretrained(run.model)
    results = evaluate_benchmarks(spec, run)
    assert len(encoded) == 2 * 6 * 4, "each clip once as it is and once for each arrangement, per benchmark"

    more = [str(tmp_path / "benchmarks")]
    for name, result in results.items():
        folder = run.evaluation(name)
        own = read_scored(folder, more=more)
        assert (result.n, list(result.controls), result.judge) == (12, CONTROLS, None)
        said = {}
        for control in CONTROLS:
            scored = read_scored(folder, control, more)
            said[control] = [one.answer.logprobs or one.answer.prediction for one in scored]
            assert [one.document.id for one in scored] == [one.document.id for one in own]
            assert result.controls[control].n == 12
            difference = result.controls[control].difference["accuracy"].value
            assert difference == pytest.approx(
                result.metrics["accuracy"].value - result.controls[control].metrics["accuracy"].value
            )
            if control == "permuted-options":
                pairs = zip(scored, own, strict=True)
                assert all(one.document.correct != other.document.correct for one, other in pairs)
                assert {one.document.answer for one in scored} == {one.document.answer for one in own}
            else:
                assert [one.document for one in scored] == [one.document for one in own]
            shown = {one.answer.shown for one in scored}
            assert shown == ({""} if control == "no-video" else shown if control == "other-video" else {None})
        assert said["no-video"] != said["other-video"]
        assert said["shuffled-frames"] != said["single-frame"]

    chosen = read_scored(run.evaluation("likeliest"), more=more)
    assert all(one.answer.logprobs is not None and len(one.answer.logprobs) == 3 for one in chosen)
    assert all(one.answer.prediction in OPTIONS and one.reading and one.reading.state == "read" for one in chosen)
    page = write_report(run.path).read_text()
    for control in CONTROLS:
        assert control in page
