"""The parameters that a stage trains, the others that stand still, and the weights on disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from torch import nn

from vlmkit.errors import CheckpointError, SpecError
from vlmkit.spec.experiment import StageSpec
from vlmkit.training.trainable import (
    assign_parameters,
    freeze,
    load_weights,
    named_parameters,
    save_weights,
    stage_weights,
)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.aligner = nn.Sequential()
        self.aligner.add_module("norm", nn.BatchNorm1d(4))
        self.aligner.add_module("projector", nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 4)))
        self.backbone = nn.ModuleDict({"embed": nn.Embedding(3, 4), "head": nn.Linear(4, 3, bias=False)})
        self.backbone["head"].weight = self.backbone["embed"].weight


def stage(train: dict[str, float]) -> StageSpec:
    return StageSpec.model_validate({"name": "a", "data": [{"type": "moving-shapes"}], "train": train, "steps": 1})


def test_the_longest_pattern_wins_and_each_parameter_is_trained_once() -> None:
    named = named_parameters(Model(), nn.Linear(2, 2))
    found = assign_parameters(
        stage({"aligner": 1, "aligner.projector": 2, "aligner.projector.2.bias": 3, "distillation": 4}), named
    )
    assert found == {
        "aligner": ["aligner.norm.weight", "aligner.norm.bias"],
        "aligner.projector": ["aligner.projector.0.weight", "aligner.projector.0.bias", "aligner.projector.2.weight"],
        "aligner.projector.2.bias": ["aligner.projector.2.bias"],
        "distillation": ["distillation.weight", "distillation.bias"],
    }


def test_a_star_stands_for_one_part_of_a_name() -> None:
    named = named_parameters(Model(), None)
    found = assign_parameters(stage({"aligner": 1, "aligner.projector.*.bias": 2}), named)
    assert found["aligner.projector.*.bias"] == ["aligner.projector.0.bias", "aligner.projector.2.bias"]
    assert len(found["aligner"]) == 4
    with pytest.raises(SpecError, match=r"'aligner\.\*\.bias\.x' or begins with it"):
        assign_parameters(stage({"aligner.*.bias.x": 1}), named)


def test_tied_weights_answer_to_both_names_once() -> None:
    named = named_parameters(Model(), None)
    assert assign_parameters(stage({"backbone": 1}), named) == {"backbone": ["backbone.embed.weight"]}
    assert assign_parameters(stage({"backbone.head": 1}), named) == {"backbone.head": ["backbone.embed.weight"]}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("aligner.projektor", "did you mean 'aligner.projector'?"),
        ("aligner.projector.0.wait", "did you mean 'aligner.projector.0.weight'?"),
        ("aligner.proj", "below 'aligner' there are: aligner.norm, aligner.projector"),
        ("distillation", "there are: aligner, backbone"),
    ],
)
def test_a_pattern_without_parameters_is_an_error_with_names(pattern: str, expected: str) -> None:
    with pytest.raises(SpecError) as error:
        assign_parameters(stage({pattern: 1}), named_parameters(Model(), None))
    assert expected in str(error.value)
    assert repr(pattern) in str(error.value)


def test_frozen_modules_stay_still_in_training_mode() -> None:
    model = Model()
    frozen_modules = freeze([model], model.aligner.projector.parameters())
    assert {id(module) for module in frozen_modules} == {id(model.aligner.norm), id(model.backbone)}
    assert [n for n, p in model.named_parameters() if p.requires_grad] == [
        f"aligner.projector.{i}.{kind}" for i in (0, 2) for kind in ("weight", "bias")
    ]


def test_a_frozen_model_is_one_module() -> None:
    model = Model()
    assert freeze([model], []) == [model]


def test_a_partly_trained_layer_keeps_its_running_statistics_when_frozen() -> None:
    model = Model()
    for module in freeze([model], model.aligner.projector.parameters()):
        module.eval()
    before = model.aligner.norm.running_mean.clone()
    model.aligner(torch.randn(8, 4))
    assert torch.equal(model.aligner.norm.running_mean, before)


def test_what_is_built_frozen_cannot_be_trained() -> None:
    model = Model()
    model.aligner.norm.requires_grad_(False)
    assert [name for name in named_parameters(model, None) if name.startswith("aligner.norm")] == []
    found = assign_parameters(stage({"aligner": 1}), named_parameters(model, None))
    assert "aligner.norm.weight" not in found["aligner"]


def test_of_two_patterns_for_tied_weights_the_first_of_the_same_length_wins() -> None:
    named = named_parameters(Model(), None)
    named = {name.replace("embed", "body"): value for name, value in named.items()}
    for first, second in (("backbone.body", "backbone.head"), ("backbone.head", "backbone.body")):
        found = assign_parameters(stage({first: 1, second: 2}), named)
        assert found == {first: ["backbone.body.weight"], second: []}


def test_many_patterns_and_many_parameters_take_a_moment() -> None:
    parameter = [nn.Parameter(torch.empty(1)) for _ in range(12_000)]
    named = {f"backbone.model.layers.{i // 12}.part.{i % 12}": value for i, value in enumerate(parameter)}
    patterns = {f"backbone.model.layers.{i}": 1e-3 for i in range(200)}
    begin = time.process_time()
    found = assign_parameters(stage(patterns), named)
    assert time.process_time() - begin < 2
    assert [len(names) for names in found.values()] == [12] * 200


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.aligner = nn.BatchNorm1d(2)
        self.backbone = nn.ModuleDict({"embed": nn.Embedding(3, 2), "head": nn.Linear(2, 3, bias=False)})
        self.backbone["head"].weight = self.backbone["embed"].weight


def test_only_what_a_stage_changes_is_saved_and_comes_back(tmp_path: Path) -> None:
    model, head = Tied(), nn.Linear(2, 2)
    model.aligner.requires_grad_(False)
    model.aligner.running_mean.fill_(0.1)
    state = stage_weights(model, head)
    assert sorted(state) == [
        "aligner.num_batches_tracked",
        "aligner.running_mean",
        "aligner.running_var",
        "backbone.embed.weight",
        "distillation.bias",
        "distillation.weight",
    ]
    save_weights(state, tmp_path / "weights.safetensors")
    other, other_head = Tied(), nn.Linear(2, 2)
    load_weights(tmp_path / "weights.safetensors", other, other_head)
    assert torch.equal(other.backbone["head"].weight, model.backbone["embed"].weight)
    assert torch.equal(other.aligner.running_mean, model.aligner.running_mean)
    assert torch.equal(other_head.weight, head.weight)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.safetensors"]


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    save_weights({"aligner.weight": torch.zeros(5)}, tmp_path / "w")
    with pytest.raises(CheckpointError, match=r"aligner\.weight has shape \(5,\), the model has shape \(2,\)"):
        load_weights(tmp_path / "w", Tied(), None)
    save_weights({"aligner.gone": torch.zeros(5)}, tmp_path / "w")
    with pytest.raises(CheckpointError, match="the model has nothing of that name"):
        load_weights(tmp_path / "w", Tied(), None)


def test_weights_that_are_damaged_or_missing_are_named(tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights({"aligner.weight": torch.ones(2)}, file)
    file.write_bytes(file.read_bytes()[:-3])
    for _ in range(2):
        with pytest.raises(
            CheckpointError, match=r"weights\.safetensors: damaged or not complete: .*; remove the fold"
        ):
            load_weights(file, Tied(), None)
        file.unlink(missing_ok=True)
