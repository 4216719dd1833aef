"""Pipes, devices and folders in place of a run's files; files in place of its folders."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.run_folder import check_file_types

FILES = (
    *("spec.yaml", "environment.json", "model.json", "bad_samples.jsonl", ".lock", "report.html"),
    *("stages/1-all/metrics.jsonl", "stages/1-all/stage.json", "stages/1-all/weights.safetensors"),
    *("stages/1-all/checkpoint-1/optimizer.pt", "model/config.json", "model/model.safetensors"),
    *("eval/shapes/predictions.jsonl", "eval/shapes/result.json", "eval/shapes/verdicts.sqlite"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".#spec.yaml").symlink_to("somebody@somewhere")  # an editor's lock
    return tmp_path


def _link(path: Path) -> None:
    path.symlink_to("/dev/zero")


def test_files_and_folders_pass(run: Path) -> None:
    check_file_types(run)
    check_file_types(run / "gone")
    check_file_types(run / "spec.yaml")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("make", [os.mkfifo, _link])
def test_pipes_and_devices(run: Path, name: str, make: Callable[[Path], None]) -> None:
    (run / name).unlink()
    make(run / name)
    with pytest.raises(RunError, match=f"{name}: expected a file, found a pipe or device; remove it and run"):
        check_file_types(run)


@pytest.mark.parametrize("name", [n for n in FILES if not n.startswith("model/") and "checkpoint" not in n])
def test_folders(run: Path, name: str) -> None:
    (run / name).unlink()
    (run / name).mkdir()
    with pytest.raises(RunError, match=f"{name}: expected a file, found a folder"):
        check_file_types(run)


@pytest.mark.parametrize("name", ["stages", "eval", "model"])
def test_files_in_place_of_folders(run: Path, name: str) -> None:
    for below in sorted((run / name).rglob("*"), reverse=True):
        below.rmdir() if below.is_dir() else below.unlink()
    (run / name).rmdir()
    (run / name).touch()
    with pytest.raises(RunError, match=f"{name}: expected a folder, found a file"):
        check_file_types(run)
