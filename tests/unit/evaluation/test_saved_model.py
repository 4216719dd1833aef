"""The saved models that an evaluation takes as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.evaluation.fingerprint import model_sha256
from vlmkit.evaluation.saved_model import saved_model_of
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

Experiment = Callable[..., ExperimentSpec]


@pytest.fixture
def spec(experiment: Experiment, tmp_path: Path) -> ExperimentSpec:
    """Takes its weights from the folder `saved`, which was saved with the same parts."""
    spec = experiment()
    model = spec.model.model_dump(mode="json", exclude={"weights"})
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved/config.json").write_text(json.dumps({"model_type": "vlmkit", "model": model}))
    (tmp_path / "saved/model.safetensors").write_bytes(b"one")
    return spec.model_copy(update={"model": spec.model.model_copy(update={"weights": str(tmp_path / "saved")})})


def test_a_model_of_the_same_parts_is_taken_as_it_is(spec: ExperimentSpec, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    assert saved_model_of(spec, run) == tmp_path / "saved"
    before = model_sha256(spec, run)
    (tmp_path / "saved/model.safetensors").write_bytes(b"two")
    assert model_sha256(spec, run) != before


def test_a_run_counts_as_the_copy_of_its_model_does(spec: ExperimentSpec, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    copied = model_sha256(spec, run)
    run.path.mkdir()
    (tmp_path / "saved").rename(run.model)
    assert saved_model_of(spec, run) == run.model
    assert model_sha256(spec, run) == copied


def test_of_other_parts_the_spec_is_composed(spec: ExperimentSpec, experiment: Experiment, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    aligner = spec.model.aligner.model_copy(update={"dropout": 0.1})
    other = spec.model.model_copy(update={"aligner": aligner})
    assert saved_model_of(spec.model_copy(update={"model": other}), run) is None
    assert saved_model_of(experiment(), run) is None
    (tmp_path / "saved/config.json").write_text('{"model": {"aligner": "gone"}}')
    assert saved_model_of(spec, run) is None
