"""Training that starts from a checkpoint, its distillation head included."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from vlmkit.errors import CheckpointError
from vlmkit.model import build_head, compose, load
from vlmkit.model.distillation import DISTILLATION
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.stages import train

VIDEO = {"frames": 4, "sampling": "uniform", "size": 32, "multiple": 16}
LLAMA = {"model_type": "llama", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
MODEL = {
    "aligner": {"type": "stab", "width": 16, "patch": 8, "heads": 2, "input": VIDEO},
    "backbone": {
        "type": "hf-causal-lm",
        "init": "random",
        "config": LLAMA | {"num_attention_heads": 2, "num_key_value_heads": 2},
        "tokenizer": {"text": ["which colour is the shape red green blue"], "vocab_size": 270},
    },
}


@pytest.fixture
def spec(tmp_path: Path) -> ExperimentSpec:
    """One step of a learning rate that changes nothing, from the checkpoint `start`."""
    data = {"type": "moving-shapes", "clips": 2, "size": 32, "frames": 8, "root": str(tmp_path / "shapes")}
    rates = dict.fromkeys(("aligner", "backbone", "distillation"), 1e-20)
    return ExperimentSpec.model_validate(
        {
            "vlmkit": 1,
            "name": "started",
            "seed": 3,
            "model": MODEL | {"weights": str(tmp_path / "start")},
            "training": {
                "distillation": {"teacher": {"type": "hog", "input": {"size": 28}}, "layer_rate": 1, "heads": 2},
                "stages": [{"name": "one", "data": [data], "batch_size": 2, "train": rates, "steps": 1}],
            },
        }
    )


@pytest.fixture
def head(spec: ExperimentSpec, tmp_path: Path) -> dict[str, torch.Tensor]:
    """The head beside the weights in `start`, under the names of its file."""
    model, processor = compose(spec.model.model_copy(update={"weights": None}), seed=11)
    for part in (model, processor):
        part.save_pretrained(tmp_path / "start")
    assert spec.training is not None
    assert spec.training.distillation is not None
    with torch.random.fork_rng():
        torch.manual_seed(12)
        state = build_head(spec.training.distillation, spec.model.backbone).state_dict()
    named = {f"distillation.{name}": value for name, value in state.items()}
    save_file(named, tmp_path / "start" / DISTILLATION)
    return named


def _parameters(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load(folder)[0].named_parameters())


def _close(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    return found.keys() == expected.keys() and all(
        torch.allclose(value, expected[name], rtol=0, atol=1e-12) for name, value in found.items()
    )


def test_model_and_head_start_from_the_checkpoint(
    spec: ExperimentSpec, head: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    run = RunFolder.open(spec, tmp_path / "runs")
    train(spec, run)
    assert _close(_parameters(run.model), _parameters(tmp_path / "start"))
    stage = load_file(run.stage(1, "one") / "weights.safetensors")
    assert _close({name: value for name, value in stage.items() if name in head}, head)
    assert run.spec().model.weights == str(tmp_path / "start")
    assert "weights" not in json.loads((run.model / "config.json").read_text())["model"]
    assert not (run.model / DISTILLATION).exists()


def test_without_a_head_in_the_checkpoint_it_is_drawn(
    spec: ExperimentSpec, head: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    (tmp_path / "start" / DISTILLATION).unlink()
    run = RunFolder.open(spec, tmp_path / "runs")
    train(spec, run)
    stage = load_file(run.stage(1, "one") / "weights.safetensors")
    assert head.keys() <= stage.keys()
    assert not torch.allclose(stage["distillation.out.weight"], head["distillation.out.weight"])


def test_a_head_of_another_shape_is_refused(
    spec: ExperimentSpec, head: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    file = tmp_path / "start" / DISTILLATION
    del head["distillation.out.bias"]
    save_file(head | {"distillation.out.weight": torch.zeros(3, 3), "distillation.more": torch.zeros(1)}, file)
    run = RunFolder.open(spec, tmp_path / "runs")
    with pytest.raises(CheckpointError) as error:
        train(spec, run)
    message = str(error.value)
    assert f"{file}: the weights do not fit the head of training.distillation: 1 missing keys: out.bias; " in message
    assert "1 unexpected keys: more; 1 mismatched keys: out.weight is (3, 3) there and (" in message
    file.write_bytes(b"half")
    with pytest.raises(CheckpointError, match="damaged or not complete"):
        train(spec, run)
