"""Weights on disk: whole, found again, put back bit by bit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from vlmkit.errors import CheckpointError
from vlmkit.training.checkpoint import (
    check_finished,
    clean,
    finish,
    finished,
    latest,
    load_weights,
    save_weights,
    seal,
    stage_state,
    unseal,
)


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
    state = stage_state(model, head)
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


def test_incomplete_checkpoints_are_ignored_and_removed(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", ".saving/checkpoint-11", ".checkpoint-8.old", "checkpoint-x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".weights.safetensors.saving").write_text("half")
    (tmp_path / "metrics.jsonl").write_text("")
    newest = latest(tmp_path)
    assert newest == tmp_path / "checkpoint-10"
    clean(tmp_path, keep=newest)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-x", "metrics.jsonl"]
    clean(tmp_path, keep=None)
    assert latest(tmp_path) is None


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A checkpoint with a file in a folder of its own, as DeepSpeed has it."""
    folder = tmp_path / "checkpoint-3"
    (folder / "global_step3").mkdir(parents=True)
    for name in ("optimizer.pt", "global_step3/states.pt"):
        (folder / name).write_bytes(b"12345678")
    seal(folder, STATE)
    return folder


STATE = {
    "run": "mine",
    "stage": "1-words",
    "sums": [0.5, 0.25],
    "steps": 2,
    "skipped": 1,
    "metrics": {"bytes": 0, "xxh3_128": ""},
}


def test_a_whole_checkpoint_gives_back_its_state(sealed: Path) -> None:
    assert unseal(sealed, "mine", "1-words") == STATE


@pytest.mark.parametrize("name", ["optimizer.pt", "global_step3/states.pt"])
def test_a_file_that_is_missing_or_cut_short_is_named(sealed: Path, name: str) -> None:
    file = sealed / name
    file.write_bytes(b"1234")
    said = rf"{name}: expected 8 bytes, found %s; remove the folder {re.escape(str(sealed))}: what it held is then "
    with pytest.raises(CheckpointError, match=said % "4 bytes"):
        unseal(sealed, "mine", "1-words")
    file.unlink()
    with pytest.raises(CheckpointError, match=said % "no file"):
        unseal(sealed, "mine", "1-words")
    file.write_bytes(b"12345679")
    with pytest.raises(
        CheckpointError, match=rf"{name}: expected the checksum xxh3_128 .*, found .*; remove the folder"
    ):
        unseal(sealed, "mine", "1-words")


@pytest.mark.parametrize("whose", [("yours", "1-words"), ("mine", "2-words")])
def test_a_checkpoint_of_another_run_or_stage_is_refused(sealed: Path, whose: tuple[str, str]) -> None:
    with pytest.raises(
        CheckpointError, match="checkpoint-3: this was written by another run, or by another stage; remo"
    ):
        unseal(sealed, *whose)


def test_a_stage_that_is_done_is_checked_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "1-words"
    folder.mkdir()
    assert not finished(folder)
    for name in ("weights.safetensors", "data.json", "metrics.jsonl"):
        (folder / name).write_bytes(b"12345678")
    finish(folder, {"run": "mine", "stage": "1-words", "steps": 3})
    assert finished(folder)
    check_finished(folder, "mine")
    with pytest.raises(CheckpointError, match="1-words: this was written by another run"):
        check_finished(folder, "yours")
    for name in ("weights.safetensors", "data.json", "metrics.jsonl"):
        (folder / name).write_bytes(b"12345670")
        with pytest.raises(CheckpointError, match=rf"{name}: expected the checksum xxh3_128 .*; remove the folder"):
            check_finished(folder, "mine")
        (folder / name).write_bytes(b"12345678")
    (folder / "stage.json").write_text((folder / "stage.json").read_text().replace('"steps": 3', '"steps": 7'))
    with pytest.raises(CheckpointError, match=r"stage\.json: its checksum is wrong: .*; remove the folder"):
        check_finished(folder, "mine")


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"sums": [1]'])
def test_a_checkpoint_without_its_state_is_refused(sealed: Path, text: str | None) -> None:
    file = sealed / "sealed.json"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(CheckpointError, match=r"sealed\.json: .*; remove the folder"):
        unseal(sealed, "mine", "1-words")


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


def test_only_plain_digits_number_a_checkpoint(tmp_path: Path) -> None:
    for name in ("checkpoint-²", "checkpoint-٣", "checkpoint-", "checkpoint-1a", "checkpoint-7"):
        (tmp_path / name).mkdir()
    assert latest(tmp_path) == tmp_path / "checkpoint-7"
