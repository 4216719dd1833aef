"""Checkpoints on disk: whole, found again, checked; a training goes on with what it was begun with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vlmkit
from vlmkit.errors import CheckpointError, RunError
from vlmkit.json_files import write_record
from vlmkit.manifest import Checksum
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.training.checkpoint import (
    check_components,
    check_finished,
    is_finished,
    latest_checkpoint,
    measure_stage,
    note_components,
    read_checkpoint_record,
    remove_leftovers,
    write_checkpoint_record,
)
from vlmkit.training.loss import LossState
from vlmkit.training.metrics import STAGE_RECORD, StageRecord, read_stage_record


def test_incomplete_checkpoints_are_ignored_and_removed(tmp_path: Path) -> None:
    for name in ("checkpoint-9", "checkpoint-10", ".saving/checkpoint-11", ".checkpoint-8.old", "checkpoint-x"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".weights.safetensors.saving").write_text("half")
    (tmp_path / "metrics.jsonl").write_text("")
    newest = latest_checkpoint(tmp_path)
    assert newest == tmp_path / "checkpoint-10"
    remove_leftovers(tmp_path, keep=newest)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-x", "metrics.jsonl"]
    remove_leftovers(tmp_path, keep=None)
    assert latest_checkpoint(tmp_path) is None


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    """A checkpoint with a file in a folder of its own, as DeepSpeed has it."""
    folder = tmp_path / "checkpoint-3"
    (folder / "global_step3").mkdir(parents=True)
    for name in ("optimizer.pt", "global_step3/states.pt"):
        (folder / name).write_bytes(b"12345678")
    write_checkpoint_record(folder, "mine", "1-words", SUMS, METRICS)
    return folder


SUMS = LossState([0.5, 0.25], steps=2, skipped=1)
METRICS = Checksum(bytes=0, xxh3_128="")


def test_a_whole_checkpoint_gives_back_its_state(sealed: Path) -> None:
    found = read_checkpoint_record(sealed, "mine", "1-words")
    assert (found.run, found.stage, found.processes, found.metrics) == ("mine", "1-words", 1, METRICS)
    assert LossState(found.sums, found.steps, found.skipped) == SUMS
    assert list(found.files) == ["global_step3/states.pt", "optimizer.pt"]


def test_a_checkpoint_of_another_number_of_processes_is_refused(sealed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(RunError, match=r"begun by 1 process and cannot be continued by 2 processes; start as many"):
        read_checkpoint_record(sealed, "mine", "1-words")


@pytest.mark.parametrize("name", ["optimizer.pt", "global_step3/states.pt"])
def test_a_file_that_is_missing_or_cut_short_is_named(sealed: Path, name: str) -> None:
    file = sealed / name
    file.write_bytes(b"1234")
    said = rf"{name}: expected 8 bytes, found %s; remove the folder {re.escape(str(sealed))}: what it held is then "
    with pytest.raises(CheckpointError, match=said % "4 bytes"):
        read_checkpoint_record(sealed, "mine", "1-words")
    file.unlink()
    with pytest.raises(CheckpointError, match=said % "no file"):
        read_checkpoint_record(sealed, "mine", "1-words")
    file.write_bytes(b"12345679")
    with pytest.raises(
        CheckpointError, match=rf"{name}: expected the checksum xxh3_128 .*, found .*; remove the folder"
    ):
        read_checkpoint_record(sealed, "mine", "1-words")


@pytest.mark.parametrize("whose", [("yours", "1-words"), ("mine", "2-words")])
def test_a_checkpoint_of_another_run_or_stage_is_refused(sealed: Path, whose: tuple[str, str]) -> None:
    with pytest.raises(
        CheckpointError, match="checkpoint-3: this was written by another run, or by another stage; remo"
    ):
        read_checkpoint_record(sealed, *whose)


def test_a_stage_that_is_done_is_checked_as_a_whole(tmp_path: Path) -> None:
    folder = tmp_path / "1-words"
    folder.mkdir()
    assert not is_finished(folder)
    assert read_stage_record(folder) is None
    for name in ("weights.safetensors", "data.json", "metrics.jsonl"):
        (folder / name).write_bytes(b"12345678")
    counts = {"steps": 3, "samples": 8, "samples_skipped": 1, "seconds_since_resumed": 0.5}
    done = StageRecord(run="mine", stage="1-words", **counts, files=measure_stage(folder))
    write_record(folder / STAGE_RECORD, done.model_dump())
    assert read_stage_record(folder) == done
    assert is_finished(folder)
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
        read_checkpoint_record(sealed, "mine", "1-words")


def test_only_plain_digits_number_a_checkpoint(tmp_path: Path) -> None:
    for name in ("checkpoint-²", "checkpoint-٣", "checkpoint-", "checkpoint-1a", "checkpoint-7"):
        (tmp_path / name).mkdir()
    assert latest_checkpoint(tmp_path) == tmp_path / "checkpoint-7"


SPEC = ExperimentSpec.model_validate(
    {
        "vlmkit": 1,
        "name": "one",
        "model": {
            "aligner": {"type": "stab", "width": 16, "heads": 2},
            "backbone": {
                "type": "hf-causal-lm",
                "init": "random",
                "config": {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 4},
                "tokenizer": {"text": ["a"]},
            },
        },
        "training": {
            "distillation": {"teacher": "hog"},
            "stages": [{"name": "all", "data": ["moving-shapes"], "train": {"aligner": 1e-3}, "steps": 2}],
        },
        "evaluation": {"benchmarks": ["moving-shapes"]},
    }
)


@pytest.mark.parametrize(
    "component",
    [
        "aligner/stab",
        "downsampler/lsd",
        "backbone/hf-causal-lm",
        "teacher/hog",
        "dataset/moving-shapes",
        "reader/decord",
    ],
)
def test_another_version_is_refused(component: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    check_components(SPEC, run)
    note_components(SPEC, run)
    check_components(SPEC, run)
    kind, name = component.split("/")
    monkeypatch.setattr(registry().get(kind, name).plugin, "version", "9.9")
    note_components(SPEC, run)
    with pytest.raises(RunError) as caught:
        check_components(SPEC, run)
    message, here = str(caught.value), vlmkit.__version__
    assert f"{kind} {name!r} of vlmkit {here}, here of vlmkit 9.9" in message
    assert f"to go on, install what it was begun with: pip install 'vlmkit=={here}'; or remove the folder " in message


def test_what_only_the_evaluation_needs_may_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunFolder(tmp_path)
    note_components(SPEC, run)
    monkeypatch.setattr(registry().get("judge", "exact").plugin, "version", "9.9")
    check_components(SPEC, run)


def test_a_damaged_file_is_a_clear_error(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    note_components(SPEC, run)
    (tmp_path / "stages" / "components.json").write_text('{"components": {"aligner/stab": 1}}')
    with pytest.raises(RunError, match=r"stages/components.json: components.aligner/stab: .*; remove the file, if"):
        check_components(SPEC, run)
