"""Real clips, real questions: a small model learns MSVD's training questions of four clips by heart."""

from __future__ import annotations

import hashlib
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import vlmkit
from vlmkit.api import JudgeRequest
from vlmkit.model import load
from vlmkit_judges.spec import ExactSpec

VIDEOS = "msvd_{video}{ext}"
EXTENSIONS = [".avi", ".mp4"]


def _annotations(folder: Path) -> list[dict[str, str]]:
    files = [folder / "test_q.json", folder / "test_a.json"]
    return [{"path": str(file), "sha256": hashlib.sha256(file.read_bytes()).hexdigest()} for file in files]


@pytest.fixture
def asked(shared: Path) -> dict[str, list[tuple[str, str]]]:
    """By clip: its training questions, in the order of the annotations, with their answers."""
    files = _annotations(shared / "annotations" / "mini" / "MSVD_train")
    questions, answers = (json.loads(Path(file["path"]).read_text()) for file in files)
    answer_of = {item["question_id"]: item["answer"] for item in answers}
    clips: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for item in questions:
        clips[item["video_name"]].append((item["question"], answer_of[item["question_id"]]))
    return clips


def _video(shared: Path, clip: str) -> Path:
    return next((shared / "videos").glob(f"msvd_{clip}.*"))


def _write(folder: Path, shared: Path, talks: list[tuple[str, list[tuple[str, str]]]], steps: int, **more: Any) -> Path:
    """A spec that learns these conversations about clips, all of them at each step."""
    rows = []
    for number, (clip, turns) in enumerate(talks):
        said = [
            {"from": who, "value": text} for turn in turns for who, text in zip(("human", "gpt"), turn, strict=True)
        ]
        said[0]["value"] = f"<video>\n{said[0]['value']}"
        rows.append({"id": str(number), "video": _video(shared, clip).name, "conversations": said})
    (folder / "talks.json").write_text(json.dumps(rows))
    data = {"type": "llava-json", "path": str(folder / "talks.json"), "video_root": str(shared / "videos")}
    spec = {
        "vlmkit": 1,
        "name": "by-heart",
        "model": {
            "aligner": {"type": "stab", "width": 32, "patch": 8, "heads": 4, "dropout": 0.0,
                        "input": {"frames": 4, "size": 32, "multiple": 16}},
            "backbone": {"type": "hf-causal-lm", "init": "random", "chat_template": "plain",
                         "config": {"model_type": "llama", "hidden_size": 96, "intermediate_size": 256,
                                    "num_hidden_layers": 3, "num_attention_heads": 4, "tie_word_embeddings": True,
                                    "initializer_range": 0.06},
                         "tokenizer": {"text": [text for _, turns in talks for turn in turns for text in turn],
                                       "vocab_size": 600}},
        },
        "data": {"cache_mib": 64},
        "training": {"stages": [{"name": "learn", "steps": steps, "batch_size": len(talks), "max_grad_norm": 1.0,
                                 "warmup": 0.1, "data": [data], "train": {"aligner": 3e-3, "backbone": 3e-3}}]},
        **more,
    }  # fmt: skip
    (folder / "spec.yaml").write_text(yaml.safe_dump(spec))
    return folder / "spec.yaml"


def test_training_questions_are_learnt_by_heart(
    asked: dict[str, list[tuple[str, str]]], shared: Path, tmp_path: Path
) -> None:
    """Learnt and asked as one conversation about each clip, in which the model's own answers stand.

    So it can know them all, also where the same question comes again and wants another answer.
    """
    run = vlmkit.run(_write(tmp_path, shared, list(asked.items()), steps=80), tmp_path / "runs")
    model, processor = load(run.model_path)
    judge = ExactSpec().build()
    right = []
    for clip, turns in asked.items():
        video, messages = processor.fit(_video(shared, clip)), []
        for number, (question, answer) in enumerate(turns):
            messages.append({"role": "user", "content": question if number else f"<video>\n{question}"})
            text = processor.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            inputs = processor(text, video)
            with torch.inference_mode():
                ids = model.generate(**inputs, max_new_tokens=4, do_sample=False)
            said = processor.tokenizer.decode(ids[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()
            messages.append({"role": "assistant", "content": said})
            right.append(judge.judge_one(JudgeRequest(question, (answer,), said)).correct)
    assert len(right) == 131
    assert sum(right) >= 0.95 * 131


def _attainable(asked: dict[str, list[tuple[str, str]]]) -> int:
    """How many can be answered one by one: 7 of the 131 ask what another asks of the same clip, with another answer."""
    said: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for clip, turns in asked.items():
        for question, answer in turns:
            said[clip, question][answer] += 1
    return sum(counts.most_common(1)[0][1] for counts in said.values())


def test_the_benchmark_runs_over_questions_learnt_and_unseen(
    asked: dict[str, list[tuple[str, str]]], shared: Path, tmp_path: Path
) -> None:
    """Learnt and asked one by one."""
    mini = shared / "annotations" / "mini"
    benchmarks = [
        {"name": "msvd-qa", "label": split, "annotations": _annotations(mini / f"MSVD_{split}"),
         "video_root": str(shared / "videos"), "video_file": VIDEOS, "extensions": EXTENSIONS}
        for split in ("train", "test")
    ]  # fmt: skip
    evaluation = {"batch_size": 131, "max_new_tokens": 4, "benchmarks": benchmarks}
    talks = [(clip, [turn]) for clip, turns in asked.items() for turn in turns]
    run = vlmkit.run(_write(tmp_path, shared, talks, steps=110, evaluation=evaluation), tmp_path / "runs")
    learnt, unseen = run.results["train"], run.results["test"]
    assert learnt.n == 131
    assert learnt.metrics["accuracy"].value * 131 >= 0.95 * _attainable(asked)
    assert (unseen.n, unseen.skipped, unseen.unscored) == (73, 0, 0)
    stored = json.loads((run.path / "eval" / "test" / "result.json").read_text())
    wanted = {"benchmark", "version", "split", "judge", "n", "skipped", "unscored", "metrics", "by_type", "spec_sha256",
              "plugins", "vlmkit_version"}  # fmt: skip
    assert wanted <= set(stored)
    assert stored["judge"] == {"name": "exact", "version": f"2 (vlmkit {vlmkit.__version__})", "prompts": []}
    low, high = stored["metrics"]["accuracy"]["ci95"]
    assert 0 <= low <= stored["metrics"]["accuracy"]["value"] <= high <= 1
    assert sum(of_type["n"] for of_type in stored["by_type"].values()) == 73
    assert len((run.path / "eval" / "test" / "predictions.jsonl").read_text().splitlines()) == 73
    assert run.report_path is not None
    assert "msvd-qa" in run.report_path.read_text()
