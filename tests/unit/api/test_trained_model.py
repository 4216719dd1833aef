"""Models that a user names: where they are, the aligner in them, and its weights alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from vlmkit.api import CheckpointError, RunError
from vlmkit.api.trained_model import find_aligner, model_folder, read_aligner_weights
from vlmkit.manifest import updating_manifest, write_manifest
from vlmkit_stab.spec import StabSpec


@pytest.fixture
def run(talker: Path, tmp_path: Path) -> Path:
    """A run folder whose model is trained."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "spec.yaml").touch()
    shutil.copytree(talker, folder / "model")
    return folder


def test_the_model_of_a_run_and_a_saved_model(run: Path) -> None:
    model = run / "model"
    assert model_folder(run) == model_folder(model) == model_folder(str(model)) == model
    shutil.rmtree(model)
    with pytest.raises(RunError, match="no trained model yet"):
        model_folder(run)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "found nothing of this name here"),
        (lambda path: path.write_text("x"), "found a file"),
        (lambda path: path.mkdir(), "neither config.json nor spec.yaml"),
        (lambda path: (path.mkdir(), (path / "adapter_config.json").write_text("{}")), "adapter without its model"),
    ],
)
def test_no_model_is_told_by_what_is_there(tmp_path: Path, make: Callable[[Path], Any], said: str) -> None:
    make(tmp_path / "there")
    with pytest.raises(RunError, match=said):
        model_folder(tmp_path / "there")


def test_the_aligner_of_a_model(run: Path) -> None:
    found = find_aligner(run)
    assert isinstance(found.spec, StabSpec)
    assert (found.folder, found.spec.width, found.llm_width) == (run / "model", 32, 32)
    assert found.checksum is not None


def test_the_checksum_is_that_of_the_weights_alone(run: Path) -> None:
    before, model = find_aligner(run).checksum, run / "model"
    with updating_manifest(model):
        (model / "notes.txt").write_text("mine")
    assert find_aligner(run).checksum == before
    weights = load_file(model / "model.safetensors")
    with updating_manifest(model):
        save_file({name: value + 1 for name, value in weights.items()}, model / "model.safetensors", {"format": "pt"})
    assert find_aligner(run).checksum not in (before, None)
    (model / "checksums.json").unlink()
    assert find_aligner(run).checksum is None


def _change(run: Path, **changes: Any) -> None:
    file = run / "model/config.json"
    content = json.loads(file.read_text())
    content.pop("checksum", None)
    file.write_text(json.dumps(content | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_type": "llava"}, r"config\.json: expected model_type 'vlmkit', found 'llava'"),
        ({"model": {}}, r"config\.json: .*model\.aligner: this field is required.*model\.backbone"),
        ({"model": {"aligner": "gone"}}, r"model\.aligner: no installed plugin offers aligner 'gone'"),
        ({"model": []}, r"model\.aligner: this field is required"),
    ],
)
def test_another_model(run: Path, changes: dict[str, Any], said: str) -> None:
    _change(run, **changes)
    with pytest.raises(CheckpointError, match=said):
        find_aligner(run)


@pytest.mark.parametrize("shards", [1, 3])
def test_the_weights_of_the_aligner_alone(run: Path, shards: int) -> None:
    model = run / "model"
    weights = load_file(model / "model.safetensors")
    wanted = {name.removeprefix("aligner."): value for name, value in weights.items() if name.startswith("aligner.")}
    if shards > 1:
        (model / "model.safetensors").unlink()
        names = {name: f"model-{number % shards}.safetensors" for number, name in enumerate(weights)}
        for file in set(names.values()):
            save_file({name: weights[name] for name, of in names.items() if of == file}, model / file)
        (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
        write_manifest(model)
        assert find_aligner(run).checksum is not None
    found = read_aligner_weights(model)
    assert 0 < len(wanted) < len(weights)
    assert found.keys() == wanted.keys()
    assert all((found[name] == value).all() for name, value in wanted.items())


def test_damaged_weights(run: Path) -> None:
    file = run / "model/model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected the checksum"):
        read_aligner_weights(run / "model")
