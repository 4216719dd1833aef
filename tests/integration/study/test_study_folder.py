"""A study that was changed after runs were made: what they still count for."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.json_files import write_record
from vlmkit.run_folder import RunFolder
from vlmkit.spec.loading import sha256
from vlmkit.study.rows import Study, load_study
from vlmkit.study.study_folder import StudyFolder

from .conftest import WriteStudy


def pretend(study: Study, folder: StudyFolder) -> None:
    """Make what a finished run of the base's first seed leaves."""
    run = study.runs[0]
    RunFolder.open(run.experiment, folder.path)
    place = folder.run_folder(run)
    place.model.mkdir()
    for file, content in (
        (place.stage(1, "language") / "stage.json", {}),
        (place.evaluation("moving-shapes") / "result.json", {"spec_sha256": sha256(run.experiment)}),
    ):
        file.parent.mkdir(parents=True)
        write_record(file, content)


@pytest.fixture
def folder(write_study: WriteStudy, tmp_path: Path) -> StudyFolder:
    study = load_study(write_study())
    made = StudyFolder.open(study, tmp_path / "runs")
    pretend(study, made)
    assert made.state(study.runs[0]) == "done"
    return made


def test_runs_that_were_trained_otherwise_are_not_taken_for_those_of_the_study(
    write_study: WriteStudy, folder: StudyFolder
) -> None:
    changed = load_study(write_study(set={"training.stages.together.steps": 7}))
    with pytest.raises(RunError, match=r"1 run of this study .* has now:\n  base-seed1: .*steps: 6 -> 7\ntake the"):
        StudyFolder.open(changed, folder.path.parent)


def test_what_is_measured_otherwise_is_to_be_measured_again(write_study: WriteStudy, folder: StudyFolder) -> None:
    changed = load_study(write_study(benchmarks=[{"name": "moving-shapes", "limit": 3}]))
    assert StudyFolder.open(changed, folder.path.parent).state(changed.runs[0]) == "begun"


def test_a_row_that_failed_is_tried_again_when_it_was_corrected(write_study: WriteStudy, folder: StudyFolder) -> None:
    study = load_study(write_study())
    failing = next(run for run in study.runs if run.rows == ("slower",))
    folder.note_failure(failing, 2)
    assert folder.state(failing) == "failed"
    corrected = load_study(write_study(set={"evaluation.batch_size": 4}))
    assert folder.state(next(run for run in corrected.runs if run.rows == ("slower",))) == "new"


def test_a_folder_that_cannot_be_made_or_written_is_told(write_study: WriteStudy, tmp_path: Path) -> None:
    study = load_study(write_study())
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="file/tiny-study: this folder cannot be made: Not a directory"):
        StudyFolder.open(study, tmp_path / "file")
    made = StudyFolder.open(study, tmp_path / "runs")
    (made.path / "specs" / "base-seed1.yaml").mkdir()
    with pytest.raises(RunError, match=r"base-seed1.yaml: cannot be read or written: Is a directory"), made.locked():
        made.write_spec(study.runs[0])
