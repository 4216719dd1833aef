"""An aligner that reads instructions, from conversations that begin with one to a trained model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vlmkit.model import load
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.stages import train
from vlmkit_datasets._clips import write_video
from vlmkit_qformer.video_chat2 import VideoChat2Spec

pytestmark = pytest.mark.usefixtures("quick")
LLAMA = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
BACKBONE = {
    "type": "hf-causal-lm",
    "init": "random",
    "config": LLAMA | {"num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.1},
    "tokenizer": {"text": ["name the colour what is it red blue"], "vocab_size": 262},
}


def _spec(folder: Path) -> ExperimentSpec:
    """A tiny video-chat2 on a red and a blue clip."""
    rows: list[dict[str, Any]] = []
    for color, rgb in (("red", (200, 20, 20)), ("blue", (20, 20, 200))):
        write_video(folder / f"{color}.mp4", np.full((8, 32, 32, 3), rgb, np.uint8), 4)
        said = [("system", "Name the colour."), ("human", "<video>\nwhat is it"), ("gpt", color)]
        turns = [{"from": speaker, "value": value} for speaker, value in said]
        rows.append({"id": color, "video": f"{color}.mp4", "conversations": turns})
    (folder / "data.json").write_text(json.dumps(rows))
    stage = {"name": "all", "data": [{"type": "llava-json", "path": str(folder / "data.json")}], "batch_size": 2}
    stage |= {"train": {"aligner": 1e-2, "backbone": 1e-2}, "warmup": 0, "steps": 30}
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "instructions",
            "seed": 1,
            "model": {"aligner": VideoChat2Spec.tiny().model_dump(), "backbone": BACKBONE},
            "training": {"log_every": 1, "stages": [stage]},
        }
    )


def test_the_loss_falls_and_the_model_answers(tmp_path: Path) -> None:
    spec = _spec(tmp_path)
    run = RunFolder.open(spec, tmp_path / "runs")
    train(spec, run)
    [file] = run.path.glob("stages/*/metrics.jsonl")
    losses = [json.loads(line)["loss"] for line in file.read_text().splitlines()]
    assert losses[-1] < 0.5 * losses[0]
    model, processor = load(run.model)
    messages = [{"role": "system", "content": "Name the colour."}, {"role": "user", "content": "<video>\nwhat is it"}]
    options: dict[str, Any] = {"tokenize": True, "return_dict": True, "add_generation_prompt": True}
    inputs = processor.apply_chat_template(messages, videos=[str(tmp_path / "red.mp4")], **options)
    assert inputs["text_mask"].all()
    assert inputs["text_mask"].shape[1] > 2
    with torch.no_grad():
        answer = model.generate(**inputs, max_new_tokens=4, do_sample=False)
    assert answer.shape[1] > inputs["input_ids"].shape[1]
