"""A study is run: equal runs once, shared stages once, on after an interruption to the same table, failures apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlmkit.errors import RunError, UserError
from vlmkit.study import running
from vlmkit.study.rows import load_study
from vlmkit.study.running import StudyProgress, choose_runs, run_study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.table import build_table
from vlmkit.study.table_formats import write_tables

from .conftest import VARIANTS, HereLauncher, Holder, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")
NAMES = ["base-seed1", "without-fsra-seed1", "slower-seed1", "base-seed2", "without-fsra-seed2", "slower-seed2"]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PAUSE", 0.0)


def run(file: Path, output: Path, launcher: HereLauncher, retry: bool = False) -> tuple[StudyFolder, StudyProgress]:
    study = load_study(file)
    folder = StudyFolder.open(study, output)
    return folder, run_study(study, folder, launcher, study.runs, retry)


def table(file: Path, folder: StudyFolder) -> dict[str, str]:
    """The content of the table's files."""
    return {
        written.name: written.read_text()
        for written in write_tables(build_table(load_study(file), folder), folder.path)
    }


def test_equal_runs_are_made_once_and_shared_stages_trained_once(write_study: WriteStudy, tmp_path: Path) -> None:
    launcher = HereLauncher()
    file = write_study()
    folder, progress = run(file, tmp_path / "runs", launcher)
    assert launcher.started == progress.ended == NAMES
    assert progress.stages_taken == {"slower-seed1": ["1-language"], "slower-seed2": ["1-language"]}
    found = build_table(load_study(file), folder)
    assert [line.label for line in found.rows] == ["STAB", "w/o FSRA", "slower", "the base again"]
    cells = [line.cells["moving-shapes/accuracy"] for line in found.rows]
    assert cells[3].score == cells[0].score
    assert [cell.difference is None for cell in cells] == [True, False, False, True]
    assert cells[1].difference.seeds == 2  # type: ignore[union-attr]
    assert found.rows[1].parameters < found.rows[0].parameters  # type: ignore[operator]


def test_an_interrupted_study_goes_on_to_the_same_table(write_study: WriteStudy, tmp_path: Path) -> None:
    file = write_study()
    whole = table(file, run(file, tmp_path / "whole", HereLauncher())[0])
    for most in (2, 1):
        with pytest.raises(KeyboardInterrupt):
            run(file, tmp_path / "runs", HereLauncher(most=most))
    launcher = HereLauncher()
    folder, progress = run(file, tmp_path / "runs", launcher)
    assert progress.passed_over + launcher.started == NAMES
    assert table(file, folder) == whole
    assert run(file, tmp_path / "runs", HereLauncher(most=0))[1].passed_over == NAMES


def test_a_failure_is_set_aside_and_told_and_tried_again_when_that_is_wanted(
    write_study: WriteStudy, tmp_path: Path
) -> None:
    file = write_study()
    folder, progress = run(file, tmp_path / "runs", HereLauncher(broken="slower"))
    assert progress.failed == ["slower-seed1", "slower-seed2"]
    assert len(progress.ended) == 4
    assert folder.failures()["slower-seed1"].said == "vlmkit: slower-seed1: it is broken"
    found = build_table(load_study(file), folder)
    assert [line.missing for line in found.rows] == [[], [], [1, 2], []]
    assert "slower (2)" in table(file, folder)["table.md"]
    assert run(file, tmp_path / "runs", HereLauncher(most=0))[1].failed == progress.failed
    launcher = HereLauncher()
    assert run(file, tmp_path / "runs", launcher, retry=True)[1].ended == progress.failed == launcher.started
    assert folder.failures() == {}


def test_a_run_that_somebody_works_on_is_waited_for(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write_study(seeds=[1], variants=VARIANTS[:1])
    study = load_study(file)
    folder = StudyFolder.open(study, tmp_path / "runs")
    busy = folder.run_folder(study.runs[0])
    busy.path.mkdir()
    holder = Holder(busy)
    assert run_study(study, folder, HereLauncher(), study.runs, tell=holder).ended == [NAMES[1], NAMES[0]]
    assert holder.released == [NAMES[1]]


def test_nothing_measured_is_no_table(write_study: WriteStudy, tmp_path: Path) -> None:
    file = write_study()
    folder = StudyFolder.open(load_study(file), tmp_path)
    with pytest.raises(RunError, match="nothing has been measured yet"):
        build_table(load_study(file), folder)


def test_some_rows_are_chosen_with_the_base(write_study: WriteStudy) -> None:
    study = load_study(write_study())
    assert [one.experiment.name for one in choose_runs(study, ["slower"])] == [NAMES[0], NAMES[2], NAMES[3], NAMES[5]]
    with pytest.raises(UserError, match="did you mean 'slower'"):
        choose_runs(study, ["slowr"])


def test_the_files_of_the_table_say_the_same(write_study: WriteStudy, tmp_path: Path) -> None:
    published = {"moving-shapes": {"accuracy": 0.5}}
    file = write_study(
        seeds=[1], base={"spec": "base.yaml", "published": published}, published={"source": "a paper, Table 1"}
    )
    folder, _ = run(file, tmp_path / "runs", HereLauncher())
    files = table(file, folder)
    accuracy = json.loads(files["table.json"])["rows"][0]["cells"]["moving-shapes/accuracy"]["score"]["value"]
    assert f"| base | {accuracy:.1%} [" in files["table.md"]
    assert f"{accuracy * 100:.1f}\\% [" in files["table.tex"]
    assert files["table.csv"].splitlines()[1].startswith(f"base,base,moving-shapes,accuracy,{accuracy}")
    assert "50.0%" in files["table.md"]
    assert "a paper, Table 1" in files["table.tex"]
    assert "not that of seeds" in files["table.md"]
