"""The exported folder: what is in it, what is not, and what happens to what was there."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml

import vlmkit.publish.hub_folder
from vlmkit.answers.exports import HubBenchmark
from vlmkit.api.trained_model import model_folder
from vlmkit.errors import CheckpointError, DataError, RunError
from vlmkit.eval_target import eval_target
from vlmkit.model import load
from vlmkit.publish.card_data import CardOptions
from vlmkit.publish.hub_folder import ExportOptions, export_model
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import load_spec

from .conftest import PLATFORM, TELLING, measured

MODEL = ["chat_template.jinja", "config.json", "generation_config.json", "model.safetensors", "processor_config.json",
         "tokenizer.json", "tokenizer_config.json"]  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    return {one.relative_to(folder).as_posix(): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def test_a_run_becomes_a_model_that_loads_alike(run: Path, tmp_path: Path) -> None:
    done = export_model(run, tmp_path / "out")
    assert sorted(done.files) == sorted([*MODEL, "README.md", "spec.yaml"])
    assert sorted(content(done.folder)) == sorted([*done.files, "checksums.json"])
    assert done.size == sum(len(content(done.folder)[name]) for name in done.files)
    before, after = load(run / "model")[0], load(done.folder)[0]
    for (name, one), (_, other) in zip(before.state_dict().items(), after.state_dict().items(), strict=True):
        assert torch.equal(one, other), name
    assert model_folder(done.folder) == done.folder
    target = eval_target(done.folder, benchmarks=["moving-shapes"])
    with pytest.raises(RunError, match="expected a run folder, found that of a saved model"):
        RunFolder(done.folder).check()
    assert target.spec.model.weights == str(done.folder)  # measured as a saved model, and not taken for a run


def test_a_snapshot_of_the_hub_loads(run: Path, tmp_path: Path) -> None:
    done = export_model(run, tmp_path / "out")
    snapshot = tmp_path / "models--org--tiny" / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    for name in [*done.files, "checksums.json"]:
        (snapshot / name).symlink_to(done.folder / name)
    model, processor = load(snapshot)
    assert model.config.model_type == "vlmkit"
    assert processor.tokenizer is not None


def test_nothing_tells_of_the_machine(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_tokenthatmustnotbetold")
    (run / "model" / "notes-of-alice.txt").write_text("private")
    config = run / "model" / "config.json"
    said = json.loads(config.read_text())
    said["model"]["backbone"]["path"] = str(run / "language")
    said["text_config"]["_name_or_path"] = str(run / "language")
    config.write_text(json.dumps(said))
    (run / "model" / "checksums.json").unlink()
    shutil.rmtree(run / "eval")
    measured(run, "moving-shapes")
    options = ExportOptions(benchmarks={"moving-shapes": HubBenchmark("org/shapes", "default")})
    done = export_model(run, tmp_path / "out", options)
    for name, text in content(done.folder).items():
        assert "notes" not in name
        for word in (TELLING, str(tmp_path), "hf_tokenthat", "alice", "gpu-7", "secretkernel"):
            assert word.encode() not in text, f"{word} in {name}"
    assert "secretkernel" in PLATFORM
    assert any("notes-of-alice.txt" in note for note in done.notes)
    spec = yaml.safe_load((done.folder / "spec.yaml").read_text())
    assert spec["training"]["stages"][0]["data"][0]["root"] == "LOCAL"
    assert spec["evaluation"]["judge"]["base_url"] == "http://LOCAL"
    assert load_spec(done.folder / "spec.yaml").training is not None  # it can be carried on
    load(done.folder)


def test_text_with_a_path_is_not_published(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vlmkit.publish.hub_folder, "model_card", lambda *_, **__: f"see\n{run}/notes")
    with pytest.raises(RunError, match=r"README\.md, line 2: a path of this machine would be published"):
        export_model(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_same_export_twice_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = content(export_model(run, tmp_path / "one").folder)
    os.utime(run / "spec.yaml", (0, 0))
    assert content(export_model(run, tmp_path / "two").folder) == first


def test_what_is_there_is_kept(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    first = content(export_model(run, out).folder)  # an empty folder is taken
    with pytest.raises(RunError, match="expected an empty folder, or none; name another one, or give --overwrite"):
        export_model(run, out)
    again = ExportOptions(card=CardOptions(license="mit"), overwrite=True)
    assert "license: mit" in (export_model(run, out, again).folder / "README.md").read_text()
    assert content(export_model(run, out, ExportOptions(overwrite=True)).folder) == first
    (out / "README.md").write_text("edited")
    (out / "figure.png").write_bytes(b"mine")
    with pytest.raises(RunError, match=r"found 2 other or changed files: README\.md, figure\.png"):
        export_model(run, out, again)
    assert (out / "figure.png").read_bytes() == b"mine"
    other = tmp_path / "other"
    shutil.copytree(run / "model", other)
    with pytest.raises(RunError, match="expected what an earlier export wrote"):
        export_model(run, other, again)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(RunError, match="expected a folder to write, found a file"):
        export_model(run, tmp_path / "file", again)


def test_a_stop_leaves_no_half_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(vlmkit.publish.hub_folder, "model_card", stop)
    with pytest.raises(KeyboardInterrupt):
        export_model(run, tmp_path / "new" / "out")
    assert not (tmp_path / "new" / "out").exists()


def test_people_may_edit_the_card_on_the_hub(run: Path, tmp_path: Path) -> None:
    done = export_model(run, tmp_path / "out")
    (done.folder / "README.md").write_text("edited")
    load(done.folder)
    (done.folder / "chat_template.jinja").write_text("{{ messages }}")
    with pytest.raises(CheckpointError, match=r"chat_template\.jinja: expected"):
        load(done.folder)


def test_a_run_that_is_not_trained_yet(run: Path, tmp_path: Path) -> None:
    shutil.rmtree(run / "model")
    with pytest.raises(RunError, match="this run has no trained model yet"):
        export_model(run, tmp_path / "out")


def test_a_damaged_model_is_not_exported(run: Path, tmp_path: Path) -> None:
    weights = run / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected"):
        export_model(run, tmp_path / "out")


def test_eval_results_where_the_dataset_is_named(run: Path, tmp_path: Path) -> None:
    notes = export_model(run, tmp_path / "plain").notes
    assert any("no .eval_results for moving-shapes" in note for note in notes)
    options = ExportOptions(benchmarks={"moving-shapes": HubBenchmark("org/shapes", "test")})
    done = export_model(run, tmp_path / "out", options)
    assert not any(".eval_results" in note for note in done.notes)
    entry = yaml.safe_load((done.folder / ".eval_results" / "moving-shapes.yaml").read_text())[0]
    assert (entry["dataset"], entry["value"]) == ({"id": "org/shapes", "task_id": "test"}, 0.7)
    wrong = ExportOptions(benchmarks={"moving-shape": HubBenchmark("org/shapes", "test")})
    with pytest.raises(DataError, match="did you mean 'moving-shapes'"):
        export_model(run, tmp_path / "other", wrong)


def test_scores_of_other_weights_are_left_out(run: Path, tmp_path: Path) -> None:
    measured(run, "earlier", model_sha256="0" * 64)
    done = export_model(run, tmp_path / "out")
    assert any("no scores of earlier" in note for note in done.notes)
    card = (done.folder / "README.md").read_text()
    assert "earlier" not in card
    assert "not measured: msvd-qa" in card
