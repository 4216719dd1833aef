"""Stages are taken from other runs where they would be trained to the same weights, and only there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from vlmkit.errors import CheckpointError, RunError
from vlmkit.json_files import write_record
from vlmkit.run_folder import RunFolder
from vlmkit.runner import train
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.checkpoint import DatasetRecord
from vlmkit.training.metrics import read_stage_record
from vlmkit.training.shared_stages import SharedRun, take_stages

from .conftest import MODEL


@pytest.fixture(scope="module", autouse=True)
def _quick(quick: None) -> None: ...


def spec(tmp_path: Path, name: str, steps: int = 2, rate: float = 1e-2, seed: int = 3) -> ExperimentSpec:
    data = [{"type": "moving-shapes", "clips": 6, "size": 32, "frames": 8, "root": str(tmp_path / "shapes")}]
    stages = [
        {"name": "align", "data": data, "batch_size": 2, "train": {"aligner": rate}, "steps": 2},
        {"name": "both", "data": data, "batch_size": 2, "train": {"aligner": 1e-2, "backbone": 1e-2}, "steps": steps},
    ]
    content = {"vlmkit": 1, "name": name, "seed": seed, "model": MODEL, "training": {"stages": stages}}
    return ExperimentSpec.model_validate(content)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SharedRun]:
    folder = tmp_path_factory.mktemp("first")
    content = spec(folder, "first")
    return folder, shared(content, train(content, folder / "runs"))


def shared(spec: ExperimentSpec, run: RunFolder) -> SharedRun:
    return SharedRun(run, spec, spec.name)


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return load_file(run.model / "model.safetensors")


def test_a_taken_stage_leads_to_the_weights_of_a_training_alone(first: tuple[Path, SharedRun]) -> None:
    folder, other = first
    variant = spec(folder, "longer", steps=3)
    run = RunFolder.open(variant, folder / "runs")
    mine, nothing = shared(variant, run), shared(variant, RunFolder(folder / "nothing"))
    assert take_stages(mine, [mine, other, nothing]) == ["1-align"]
    record = read_stage_record(run.stage(1, "align"))
    assert record is not None
    assert record.taken_from == "first"
    train(variant, folder / "runs")
    alone = train(spec(folder, "longer", steps=3), folder / "alone")
    assert weights(run).keys() == weights(alone).keys()
    assert all(torch.equal(value, weights(alone)[name]) for name, value in weights(run).items())


def test_all_stages_of_an_equal_experiment_are_taken(first: tuple[Path, SharedRun]) -> None:
    folder, other = first
    again = spec(folder, "again")
    run = RunFolder.open(again, folder / "runs")
    assert take_stages(shared(again, run), [other]) == ["1-align", "2-both"]
    assert take_stages(shared(again, run), [other]) == []
    train(again, folder / "runs")
    assert all(torch.equal(value, weights(other.folder)[name]) for name, value in weights(run).items())


@pytest.mark.parametrize("change", [{"rate": 2e-2}, {"seed": 4}])
def test_nothing_is_taken_where_the_weights_would_differ(
    first: tuple[Path, SharedRun], tmp_path: Path, change: dict[str, Any]
) -> None:
    variant = spec(first[0], "other", **change)
    assert take_stages(shared(variant, RunFolder.open(variant, tmp_path)), [first[1]]) == []


def test_a_stage_that_was_begun_is_left_alone(first: tuple[Path, SharedRun], tmp_path: Path) -> None:
    variant = spec(first[0], "begun", steps=3)
    run = RunFolder.open(variant, tmp_path)
    (run.stage(1, "align") / "checkpoint-1").mkdir(parents=True)
    assert take_stages(shared(variant, run), [first[1]]) == []


def test_samples_that_could_not_be_read_are_told_of_the_taken_stage(
    first: tuple[Path, SharedRun], tmp_path: Path
) -> None:
    bad = spec(first[0], "bad")
    other = train(bad, tmp_path / "runs")
    line = '{"id": "7", "video": "x.mp4", "reason": "torn", "where": "%s"}\n'
    other.bad_samples.write_text(line % "stages/1-align" + line % "stages/2-both")
    variant = spec(first[0], "longer", steps=3)
    run = RunFolder.open(variant, tmp_path / "runs")
    take_stages(shared(variant, run), [shared(bad, other)])
    assert [sample.where for sample in run.bad_lines()] == ["stages/1-align"]


def test_a_damaged_stage_is_not_taken(first: tuple[Path, SharedRun], tmp_path: Path) -> None:
    damaged = spec(first[0], "damaged")
    other = train(damaged, tmp_path / "runs")
    file = other.stage(1, "align") / "weights.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    variant = spec(first[0], "longer", steps=3)
    with pytest.raises(CheckpointError, match="1-align"):
        take_stages(shared(variant, RunFolder.open(variant, tmp_path / "runs")), [shared(damaged, other)])


def test_a_stage_of_data_that_has_changed_is_not_taken(first: tuple[Path, SharedRun], tmp_path: Path) -> None:
    content = spec(tmp_path, "earlier")
    other = shared(content, train(content, tmp_path / "runs"))
    variant = spec(tmp_path, "longer", steps=3)
    known: dict[str, DatasetRecord] = {}
    assert take_stages(shared(variant, RunFolder.open(variant, tmp_path / "as-before")), [other], known) == ["1-align"]
    assert len(known) == 1
    changed = {key: one.model_copy(update={"fingerprint": "f" * 64}) for key, one in known.items()}
    with pytest.raises(RunError, match=r"stage align: dataset 0 .* has changed since"):
        take_stages(shared(variant, RunFolder.open(variant, tmp_path / "after")), [other], changed)


def test_the_environments_of_a_taken_stage_are_those_of_the_run(first: tuple[Path, SharedRun], tmp_path: Path) -> None:
    content = spec(first[0], "elsewhere")
    other = shared(content, train(content, tmp_path / "runs"))
    there = {**other.folder.environments()[0], "host": "elsewhere"}
    write_record(other.folder.environment_file, [there])
    variant = spec(first[0], "longer", steps=3)
    run = RunFolder.open(variant, tmp_path / "runs")
    here = run.environments()
    take_stages(shared(variant, run), [other])
    assert run.environments() == [*here, there]
