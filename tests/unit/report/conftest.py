"""A synthetic run folder: real files, invented numbers, components that a small plugin module offers."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
from contextlib import closing
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import vlmkit.benchmarks.entries
import vlmkit.registry
import vlmkit.spec.identity
from vlmkit.api import Judge, JudgeRequest, Verdict
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.registry import Registry
from vlmkit.report.compared_systems import SystemComparison, compare_runs
from vlmkit.spec.loading import load_spec, read_resolved, resolved, sha256

TYPES = {"colour": 0.98, "count": 0.95, "direction": 0.86, "order": 0.9, "shape": 0.62, "speed": 0.55}
PLUGIN = """
import json
import pathlib
from typing import Literal
from vlmkit import hookimpl
from vlmkit.api import AlignerSpec, BackboneSpec, DatasetSpec, Document, DownsamplerSpec, Evaluator, EvaluatorSpec
from vlmkit.api import JudgeSpec, Slot, TokenLayout, VideoInput, default_component

VLMKIT_API = 1

class Half(DownsamplerSpec):
    type: Literal["half"] = "half"
    def grid(self, height, width): return height // 2, width // 2
    def build(self, width): raise AssertionError

class Look(AlignerSpec):
    type: Literal["look"] = "look"
    input: VideoInput = VideoInput(frames=8, size=56, sampling="uniform")
    downsampler: Slot[DownsamplerSpec] = default_component("half")
    def layout(self, video):
        import numpy as np
        return TokenLayout(1, np.zeros((8, 1, 1), dtype=np.int64), np.zeros(0, dtype=np.int64))
    def build(self, llm_width): raise AssertionError

class Talk(BackboneSpec):
    type: Literal["talk"] = "talk"
    @property
    def width(self): return 8
    @property
    def layers(self): return 4
    def build(self): raise AssertionError
    def load(self): raise AssertionError
    def tokenizer(self): raise AssertionError
    def load_tokenizer(self, folder): raise AssertionError

class Clips(DatasetSpec):
    type: Literal["clips"] = "clips"
    def build(self): raise AssertionError

class Same(JudgeSpec):
    type: Literal["same"] = "same"
    def build(self): raise AssertionError

class Asking(Evaluator):
    def prompt(self, document): return "<video>\\n" + document.question
    def score(self, document, reading, verdict): return {"accuracy": float(verdict.correct)}
    def metrics(self): return {"accuracy": (0.0, 1.0)}

class Asks(EvaluatorSpec):
    type: Literal["asks"] = "asks"
    def build(self): return Asking()

@hookimpl
def vlmkit_components():
    return [Half, Look, Talk, Clips, Same, Asks]

@hookimpl
def vlmkit_benchmarks():
    return [pathlib.Path(__file__).parent / "benchmarks"]
"""
SPEC = """
vlmkit: 1
name: tiny
seed: 7
model: {aligner: {type: look}, backbone: {type: talk}}
training:
  stages:
    - {name: language, data: [clips], train: {backbone: 1.5e-3}, steps: 300, batch_size: 4}
    - {name: align, data: [clips], train: {aligner: 4e-4}, steps: 500, batch_size: 4}
evaluation:
  benchmarks: [{name: shapes, annotations: [{path: FOLDER/questions.json}], video_root: FOLDER/videos}]
  judge: same
  controls: [other-video]
"""
BENCHMARK = """
title: Squares over noise
paper: none
license: none
version: "1"
default_split: test
splits:
  test:
    files:
      - name: questions.json
        source: nowhere
        sha256: "0000000000000000000000000000000000000000000000000000000000000000"
video: {file: "{video}"}
generation: {max_new_tokens: 8, greedy: true}
evaluator: {type: asks}
metrics: [accuracy]
published:
  source: A paper, Table 1
  judge: a large model
  split: test
  results: [{model: Theirs, data: same, vision_parameters_m: 45, metrics: {accuracy: 0.647}}]
"""


ENVIRONMENT = [
    {
        "python": "3.11.4",
        "platform": "Linux-6.1-x86_64",
        "cpus": 2,
        "torch_threads": None,
        "packages": {"torch": "2.13.0", "vlmkit": "0.1.0"},
        "plugins": [{"name": "parts", "package": "parts 1.0", "state": "loaded"}],
    }
]
MODEL = {
    "name": "tiny",
    "parts": {"aligner": 103424, "backbone": 812544},
    "tokens": {"square": 96, "16:9": 72},
    "macs": 68300000,
    "frames": 8,
    "stages": [
        {"name": "language", "trains": {"backbone": 812544}, "rates": {"backbone": 1.5e-3}, "memory": {}},
        {"name": "align", "trains": {"aligner": 103424}, "rates": {"aligner": 4e-4}, "memory": {}},
    ],
}


@pytest.fixture
def components(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry with the components that the synthetic spec names, and the shipped reader and samplers."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "report_parts.py").write_text(PLUGIN)
    entry = folder / "benchmarks" / "shapes"
    entry.mkdir(parents=True)
    (entry / "benchmark.yaml").write_text(BENCHMARK)
    (entry / "README.md").write_text("Squares over noise.")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, "report_parts", raising=False)
    shipped = [EntryPoint(name, f"vlmkit_{name}", "vlmkit") for name in ("readers", "samplers")]
    small = Registry([EntryPoint("parts", "report_parts", "vlmkit"), *shipped])
    for user in (vlmkit.registry, vlmkit.spec.identity, vlmkit.benchmarks.entries):
        monkeypatch.setattr(user, "registry", lambda: small)


@pytest.fixture
def run_folder(tmp_path: Path, components: None) -> Path:
    """A finished run: two stages, one benchmark of 60 questions about three clips."""
    folder = tmp_path / "runs" / "tiny"
    folder.mkdir(parents=True)
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.replace("FOLDER", str(tmp_path)))
    clips = [clip(tmp_path / "videos" / f"clip-{i}.mp4", i) for i in range(3)]
    documents = questions(clips, 60)
    (tmp_path / "questions.json").write_text(json.dumps(documents))
    (folder / "spec.yaml").write_text(resolved(load_spec(spec)))
    (folder / "environment.json").write_text(json.dumps(ENVIRONMENT))
    (folder / "model.json").write_text(json.dumps(MODEL))
    log(folder / "stages" / "1-language", 300, ["language_loss"])
    log(folder / "stages" / "2-align", 500, ["language_loss", "distillation_loss"])
    (folder / "model").mkdir()
    evaluate(folder, documents)
    return folder


def log(folder: Path, steps: int, losses: list[str]) -> None:
    """Metrics of a stage, every tenth step."""
    draw = random.Random(folder.name)
    folder.mkdir(parents=True)
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(10, steps + 1, 10):
            row = {key: 0.2 + (3 + i) * math.exp(-step / 120) + draw.gauss(0, 0.15) for i, key in enumerate(losses)}
            row |= {"step": step, "epoch": step / 100, "loss": sum(row.values()), "seconds_per_step": 0.31}
            file.write(json.dumps({**row, "lr": {"aligner": 4e-4}}) + "\n")


def clip(path: Path, seed: int) -> Path:
    """A short H.264 file: a square that moves over noise."""
    path.parent.mkdir(exist_ok=True)
    draw = np.random.default_rng(seed)
    background = draw.integers(60, 120, (48, 64, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(16):
            picture = background.copy()
            picture[10 + 4 * seed : 22 + 4 * seed, 2 + 3 * i : 14 + 3 * i] = (220, 60, 40 + 60 * seed)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def metric(right: int, n: int) -> dict[str, Any]:
    """An accuracy with a (normal) interval."""
    value = right / n
    half = 1.96 * math.sqrt(value * (1 - value) / n)
    return {"n": n, "metrics": {"accuracy": {"value": value, "ci95": [max(0.0, value - half), min(1.0, value + half)]}}}


class Same(Judge):
    """Right is what equals the reference."""

    version = "3"

    def judge_one(self, request: JudgeRequest) -> Verdict:
        correct = request.answer in request.references
        return Verdict(correct, 5.0 * correct)


def questions(clips: list[Path], number: int) -> list[dict[str, str]]:
    """Questions of all types about the clips, in turns."""
    kinds = [list(TYPES)[i % len(TYPES)] for i in range(number)]
    videos = [clips[i % len(clips)].name for i in range(number)]
    return [
        {"id": f"q{i}", "video": video, "question": f"Which {kind} has it?", "answer": "left", "type": kind}
        for i, (kind, video) in enumerate(zip(kinds, videos, strict=True))
    ]


def evaluate(folder: Path, documents: list[dict[str, str]]) -> None:
    """Predictions of one benchmark, judged, and their result with a control."""
    draw = random.Random(len(documents))
    answers = ["left" if draw.random() < TYPES[document["type"]] else "right" for document in documents]
    target = folder / "eval" / "shapes"
    target.mkdir(parents=True)
    with (
        closing(VerdictStore(target / "verdicts.sqlite")) as verdicts,
        (target / "predictions.jsonl").open("w") as file,
    ):
        asked = [
            JudgeRequest(one["question"], (one["answer"],), said) for one, said in zip(documents, answers, strict=True)
        ]
        verdicts.judge_all("same", Same(), asked)
        for document, said in zip(documents, answers, strict=True):
            file.write(json.dumps({**document, "asked": "0", "prediction": said}) + "\n")
    kinds = {kind: [said for d, said in zip(documents, answers, strict=True) if d["type"] == kind] for kind in TYPES}
    other = {kind: metric(round(0.37 * len(group)), len(group)) for kind, group in kinds.items()}
    result = {
        "benchmark": "shapes",
        "version": "1",
        "split": "test",
        "judge": {"name": "same", "version": "3"},
        **metric(answers.count("left"), len(answers)),
        "skipped": 0,
        "unscored": 0,
        "by_type": {kind: metric(group.count("left"), len(group)) for kind, group in kinds.items()},
        "controls": {"other-video": {**metric(round(0.37 * len(answers)), len(answers)), "by_type": other}},
        "limit": None,
        "annotations": {"registered": True},
        "spec_sha256": sha256(read_resolved(folder / "spec.yaml")),
        "plugins": {"parts": "parts 1.0"},
        "vlmkit_version": "0.1.0",
        "seconds": 12.5,
    }
    (target / "result.json").write_text(json.dumps(result))


def second_run(run_folder: Path) -> Path:
    """A run like the first, that answers every fifth question otherwise."""
    folder = run_folder.parent / "second"
    shutil.copytree(run_folder, folder)
    target = folder / "eval/shapes"
    rows = [json.loads(line) for line in (target / "predictions.jsonl").read_text().splitlines()]
    for row in rows[::5]:
        row["prediction"] = "up"
    (target / "predictions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with closing(VerdictStore(target / "verdicts.sqlite")) as verdicts:
        verdicts.judge_all(
            "same", Same(), [JudgeRequest(row["question"], (row["answer"],), row["prediction"]) for row in rows]
        )
    kinds = {row["type"] for row in rows}
    right = {kind: [row["prediction"] == "left" for row in rows if row["type"] == kind] for kind in kinds}
    result = json.loads((target / "result.json").read_text())
    result |= metric(sum(map(sum, right.values())), len(rows)) | {"controls": {}}
    result["by_type"] = {kind: metric(sum(some), len(some)) for kind, some in right.items()}
    (target / "result.json").write_text(json.dumps(result))
    return folder


def two_runs(run_folder: Path) -> SystemComparison:
    """Both, compared."""
    return compare_runs([run_folder, second_run(run_folder)])
