"""Files of weights that are none: one error each, whatever stands in them."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from vlmkit.api import CheckpointError
from vlmkit.api.weights import open_shard

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.ones(2)}


@pytest.mark.parametrize("wrapper", ["model", "module", "state_dict"])
def test_a_trainers_file_is_read_for_its_weights(tmp_path: Path, wrapper: str) -> None:
    file = tmp_path / "weights.pt"
    torch.save({wrapper: STATE, "step": 3}, file)
    shard = open_shard(file)
    assert {name: stored.shape for name, stored in shard.tensors.items()} == {"a.weight": (2, 3), "a.bias": (2,)}
    assert all(torch.equal(shard.read(name), value) for name, value in STATE.items())


@pytest.mark.parametrize("content", [[], {"step": 3}, {1: torch.ones(1)}, {"model": [1]}])
def test_a_pickle_of_other_things(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "weights.pt")
    with pytest.raises(CheckpointError, match=r"weights\.pt: expected a mapping of names to tensors"):
        open_shard(tmp_path / "weights.pt")


@pytest.mark.parametrize("name", ["weights.bin", "weights.safetensors"])
def test_an_empty_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(CheckpointError, match=rf"{name}: damaged.*\(\w.*\); fetch it again"):
        open_shard(tmp_path / name)


@pytest.mark.parametrize("kind", ["archive", "pickle", "safetensors"])
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_changed_bytes_never_raise_anything_else(tmp_path: Path, kind: str) -> None:
    file = tmp_path / ("weights.safetensors" if kind == "safetensors" else "weights.bin")
    torch.save(STATE, file, _use_new_zipfile_serialization=kind == "archive")
    whole = save(STATE) if kind == "safetensors" else file.read_bytes()
    dice, refused = random.Random(0), 0
    for _ in range(200):
        content = bytearray(whole)
        content[dice.randrange(min(len(content), 700))] = dice.randrange(256)
        file.write_bytes(content[: dice.choice([len(content), dice.randrange(len(content))])])
        try:
            shard = open_shard(file)
            _ = [shard.read(name) for name in shard.tensors]
        except CheckpointError:
            refused += 1
    assert refused > 100


def test_a_folder_is_read_without_torch() -> None:
    code = "import sys, vlmkit.api.weights; assert not {'torch', 'safetensors'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
