"""Samplers from the spec to the answers: `fps` with its variable number of frames, and one of a package of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.errors import CheckpointError
from vlmkit.model import load
from vlmkit.registry import registry
from vlmkit.spec.loading import load_spec
from vlmkit_baselines.spec import ChatUniViSpec

STAB = {"type": "stab", "width": 16, "patch": 8, "heads": 2, "chunk_frames": "all"}
SPEC: dict[str, Any] = {
    "vlmkit": 1,
    "name": "tiny",
    "model": {
        "backbone": {
            "type": "hf-causal-lm",
            "init": "random",
            "config": {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
                       "num_attention_heads": 2},
            "tokenizer": {"text": ["which colour is the shape"], "vocab_size": 270},
        },
    },
    "training": {
        "distillation": {"teacher": {"type": "hog", "patch": 8, "input": {"size": 32, "multiple": 16}},
                         "layer_rate": 1, "heads": 2},
        "stages": [
            {
                "name": "words",
                "data": [{"type": "moving-shapes", "clips": 6, "size": 32, "frames": 8, "fps": 8, "root": "shapes"}],
                "train": {"aligner": 1e-3, "backbone": 1e-3, "distillation": 1e-3},
                "batch_size": 2,
                "steps": 1,
            }
        ],
    },
    "evaluation": {
        "benchmarks": [
            {"name": "moving-shapes", "dataset": {"clips": 6, "size": 32, "frames": 8, "root": "shapes"}, "limit": 2}
        ]
    },
}  # fmt: skip
THIRD_PARTY = '''
"""The sampler `late`: the last frames of a video."""
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import Sampler, SamplerSpec

VLMKIT_API = 1


class LateSpec(SamplerSpec):
    """The last frames."""

    type: Literal["late"] = "late"
    skip: int = 0
    """Frames that are left out at the end."""

    def build(self):
        return Late(self.skip)


class Late(Sampler):
    def __init__(self, skip):
        self.skip = skip

    def positions(self, num_frames, fps, times, wanted):
        last = num_frames - self.skip
        return range(max(0, last - wanted), last)


@hookimpl
def vlmkit_components():
    return [LateSpec]
'''
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A command on the spec with this input and aligner; its output, the error included."""
    monkeypatch.chdir(tmp_path)

    def run(command: str, given: dict[str, Any], *more: str, aligner: dict[str, Any] = STAB, code: int = 0) -> str:
        model = SPEC["model"] | {"aligner": aligner | {"input": {"size": 32, "multiple": 16} | given}}
        training = SPEC["training"]
        if aligner is not STAB:  # its tokens stand for no patches
            stage = training["stages"][0] | {"train": {"aligner": 1e-3, "backbone": 1e-3}}
            training = {"stages": [stage]}
        Path("tiny.yaml").write_text(yaml.safe_dump(SPEC | {"model": model, "training": training}))
        result = CliRunner().invoke(app, [command, "tiny.yaml", *more])
        said = f"{result.output}{result.exception if result.exception else ''}"
        assert (result.exit_code == 0) == (code == 0), said
        return said

    return run


@pytest.fixture
def late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The package `latecomers 0.3`, installed."""
    site = tmp_path / "site"
    info = site / "latecomers-0.3.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: latecomers\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text("[vlmkit]\nlate = late_plugin\n")
    (site / "late_plugin.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(site)
    monkeypatch.delitem(sys.modules, "late_plugin", raising=False)
    registry.cache_clear()
    yield site
    registry.cache_clear()


def test_fps_is_checked_trained_and_asked(run: Run) -> None:
    given = {
        "sampling": {"type": "fps", "fps": 3, "max_frames": 6, "even": True}
    }  # a clip of 1 s has four of six frames
    said = run("check", given, "--resolved")
    assert "visual part" in said
    assert "for 6 square frames" in said
    resolved = yaml.safe_load(said.split("\ntiny: fits together")[0])
    assert resolved["model"]["aligner"]["input"]["frames"] == 6
    assert resolved["model"]["aligner"]["input"]["sampling"] == given["sampling"] | {
        "fps": 3.0, "min_frames": 1, "pad": True,
    }  # fmt: skip
    run("run", given)
    result = json.loads(Path("runs/tiny/eval/moving-shapes/result.json").read_text())
    assert result["n"] == 2
    assert "sampler/fps" in result["components"]
    assert load_spec("runs/tiny/spec.yaml") == load_spec("tiny.yaml")
    _, processor = load("runs/tiny/model")
    clip = next(Path("shapes").rglob("*.mp4"))
    features = processor(["<video>"], [clip])
    assert features["frame_mask"].tolist() == [[True, True, False, False, False, False]]


@pytest.mark.parametrize("pad", [True, False])
def test_aligners_take_as_many_frames_as_there_are(run: Run, pad: bool) -> None:
    tiny = ChatUniViSpec.tiny().model_dump(mode="json")
    del tiny["input"]["frames"], tiny["input"]["sampling"]
    given = tiny.pop("input") | {"sampling": {"type": "fps", "fps": 4, "max_frames": 6, "pad": pad}}
    assert "for 6 square frames" in run("check", given, aligner=tiny)
    run("train", given, aligner=tiny)
    features = load("runs/tiny/model")[1](["<video>"], [next(Path("shapes").rglob("*.mp4"))])
    assert features["frame_mask"].tolist() == [[True] * 4 + [False] * 2 * pad]


def test_a_sampler_of_another_package(run: Run, late: Path) -> None:
    given = {"frames": 3, "sampling": {"type": "late", "skip": 2}}
    assert "fits together" in run("check", given)
    run("train", given)
    _, processor = load("runs/tiny/model")
    sampler = processor.aligner.input.sampler.build()
    assert sampler.positions(8, 8.0, None, 3) == [3, 4, 5]
    config = json.loads(Path("runs/tiny/model/config.json").read_text())
    assert config["components"]["sampler/late"] == {"plugin": "late", "package": "latecomers", "version": "0.3"}
    assert "sampler/uniform" not in config["components"]
    clip = next(Path("shapes").rglob("*.mp4"))
    np.testing.assert_array_equal(processor.fit(clip).num_frames_present, 3)

    (late / "latecomers-0.3.dist-info" / "entry_points.txt").write_text("")
    registry.cache_clear()
    with pytest.raises(CheckpointError, match=r"needs the sampler 'late' .* from the package latecomers 0.3"):
        load("runs/tiny/model")
    said = run("check", given, code=2)
    assert "tiny.yaml:" in said
    assert "model.aligner.input.sampling: no installed plugin offers sampler 'late'; installed: fps, " in said


def test_a_sampler_at_fault_is_named(run: Run, late: Path) -> None:
    said = run("train", {"frames": 3, "sampling": {"type": "late", "skip": -1}}, code=2)
    assert (
        "sampler 'late' (latecomers 0.3): positions gives positions from 6 to 8, expected 0 to 7, as the video" in said
    )
    said = run("train", {"frames": 3, "sampling": {"type": "late", "skip": 8}}, "--output", "other", code=2)
    assert "sampler 'late' (latecomers 0.3): positions gives 0 positions, expected 1 to 3" in said
