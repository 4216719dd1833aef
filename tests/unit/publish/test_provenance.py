"""The model and the environment of a capsule, compared."""

from __future__ import annotations

from pathlib import Path

from vlmkit.publish.provenance import changed_files, environment_differences, model_files


def test_files_of_a_model_are_compared_by_content(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "tokenizer.model", "capsule.json", "checksums.json", "README.md"):
        (tmp_path / name).write_text(name)
    (tmp_path / "folder.json").mkdir()
    before = model_files(tmp_path)
    assert list(before) == ["config.json", "model.safetensors", "tokenizer.model"]
    assert changed_files(before, tmp_path) == []
    (tmp_path / "capsule.json").write_text("another")
    (tmp_path / "added.json").write_text("new")
    assert changed_files(before, tmp_path) == []
    (tmp_path / "config.json").write_text("config.JSON")
    (tmp_path / "tokenizer.model").unlink()
    assert changed_files(before, tmp_path) == ["config.json", "tokenizer.model"]


def test_environments_are_compared_by_version() -> None:
    before = {"python": "3.11", "packages": {"av": "14", "torch": "2.6"}, "torch_threads": 1, "devices": None}
    now = {
        "python": "3.11",
        "packages": {"av": "15", "pillow": "11", "torch": "2.6"},
        "torch_threads": 2,
        "devices": ["A100"],
    }
    assert environment_differences(before, before) == []
    assert environment_differences(before, now) == [
        "av 14 in the capsule, 15 here",
        "pillow absent in the capsule, 11 here",
        "devices: none in the capsule, A100 here",
        "torch threads: 1 in the capsule, 2 here",
    ]
