"""A small benchmark with real clips, and models that are plain functions."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from vlmkit.benchmarks import entries
from vlmkit.data import FittedVideo
from vlmkit.registry import Gathered, Plugin
from vlmkit.spec.experiment import ExperimentSpec

NAMES = ("ada", "bob", "cy", "dee")
QUESTIONS = [
    {"id": f"{name}-{word}", "video": name, "question": f"{word} is it?", "answer": f"{word} of {name}"}
    for word in ("what", "who", "how")
    for name in NAMES
]
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
        "config": {
            "model_type": "llama",
            "hidden_size": 32,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "intermediate_size": 32,
        },
        "tokenizer": {"text": ["what who how is it of ada bob cy dee"], "vocab_size": 300},
    },
}


@pytest.fixture
def clips(drawn_clips: list[Path], tmp_path: Path) -> Path:
    """A folder with one clip for each of NAMES."""
    folder = tmp_path / "clips"
    folder.mkdir()
    for name, clip in zip(NAMES, drawn_clips, strict=False):
        shutil.copy(clip, folder / f"{name}.mp4")
    return folder


def entry(files: list[dict[str, str]]) -> dict[str, Any]:
    """A valid benchmark.yaml."""
    return {
        "title": "A tiny benchmark",
        "paper": "none",
        "license": "none",
        "version": "7",
        "default_split": "test",
        "splits": {"test": {"questions": len(QUESTIONS), "files": files}},
        "video": {"file": "{video}{ext}", "extensions": [".avi", ".mp4"]},
        "generation": {"max_new_tokens": 5, "greedy": True},
        "annotations": {"type": {"template": "{question}", "pattern": "\\S+"}},
        "evaluator": {"type": "open-ended-qa"},
        "metrics": ["accuracy", "score"],
    }


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A plugin's folder of benchmarks with the entry `tiny`; `write` changes the entry, `annotations` is its file."""
    annotations = tmp_path / "annotations" / "questions.json"
    annotations.parent.mkdir()
    annotations.write_text(json.dumps(QUESTIONS))
    digest = hashlib.sha256(annotations.read_bytes()).hexdigest()
    folder = tmp_path / "more" / "tiny"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text("# tiny\n")
    file = {"name": "questions.json", "sha256": digest, "source": "the author's desk"}

    def write(**changes: Any) -> None:
        (folder / "benchmark.yaml").write_text(yaml.safe_dump({**entry([file]), **changes}))

    write()
    owner = Plugin("more", "more", "more", "1.0")
    plugins = SimpleNamespace(gather=lambda hook, what: Gathered([(owner, folder.parent)], []))
    monkeypatch.setattr(entries, "registry", lambda: plugins)
    return SimpleNamespace(folder=folder, write=write, annotations=annotations)


@pytest.fixture
def experiment(tiny: SimpleNamespace, clips: Path) -> Callable[..., ExperimentSpec]:
    """Makes the spec of a run that is measured on `tiny`; arguments change its `evaluation`, `use` the benchmark."""

    def make(
        use: dict[str, Any] | None = None, data: dict[str, Any] | None = None, **evaluation: Any
    ) -> ExperimentSpec:
        used = {
            "name": "tiny",
            "annotation_root": str(tiny.annotations.parent),
            "video_root": str(clips),
            **(use or {}),
        }
        return ExperimentSpec.model_validate(
            {
                "vlmkit": 1,
                "name": "measured",
                "model": MODEL,
                "data": data or {},
                "evaluation": {"benchmarks": [used], "batch_size": 5, "workers": 0, **evaluation},
            }
        )

    return make


class Oracle:
    """Answers from the prompt and the first pixel of the clip; counts what it is asked."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, prompts: Sequence[str], videos: Sequence[FittedVideo], max_new_tokens: int) -> list[str]:
        self.batches.append(list(prompts))
        return [
            f"{prompt.split()[1]} {int(video.pixels.sum()) % 97}" for prompt, video in zip(prompts, videos, strict=True)
        ]


@pytest.fixture
def oracle() -> Oracle:
    """A model that is a function."""
    return Oracle()
