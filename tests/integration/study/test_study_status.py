"""How far a study is, as the records of its runs say: done, under way, waiting; and the time that is left."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vlmkit.json_files import write_record
from vlmkit.spec.identity import sha256_without_name
from vlmkit.study import running
from vlmkit.study.probing import ProbedRow, StudyProbe
from vlmkit.study.rows import Study, load_study
from vlmkit.study.running import StudyProgress, run_study
from vlmkit.study.study_folder import StudyFolder
from vlmkit.study.study_status import StudyStatus, StudyWatch
from vlmkit.training.metrics import read_metrics

from .conftest import VARIANTS, HereLauncher, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")
SLOWER = VARIANTS[1]


@pytest.fixture
def study(write_study: WriteStudy) -> Study:
    """The base and a row that differs in its second stage; metrics of each step."""
    return load_study(write_study(seeds=[1], variants=[SLOWER], set={"training.log_every": 1}))


@pytest.fixture
def folder(study: Study, tmp_path: Path) -> StudyFolder:
    return StudyFolder.open(study, tmp_path / "runs")


def look(study: Study, folder: StudyFolder, progress: StudyProgress) -> StudyStatus:
    return StudyWatch(study, folder, study.runs, slots=1).look(progress)


def test_a_study_from_its_begin_to_its_end(study: Study, folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_PAUSE", 0.0)
    watch, seen = StudyWatch(study, folder, study.runs, slots=1), list[StudyStatus]()
    run_study(study, folder, HereLauncher(), study.runs, tell=lambda progress: seen.append(watch.look(progress)))
    first, last = seen[0], seen[-1]
    assert [run.state for run in first.runs] == ["waiting", "waiting"]
    assert (first.stages_trained, first.stages_taken, first.stages_left, first.training_left) == (0, 0, 3, None)
    assert [run.state for run in last.runs] == ["done", "done"]
    assert [run.stages_taken for run in last.runs] == [(), ("base-seed1",)]
    assert (last.stages_trained, last.stages_taken, last.stages_left) == (3, 1, 0)
    assert (last.training_left, last.questions_left) == (0.0, 0.0)
    (score,) = last.runs[0].scores
    assert (score.benchmark, score.metric) == ("moving-shapes", "accuracy")

    base, slower = (folder.path / run.experiment.name for run in study.runs)
    shutil.rmtree(slower)
    status = look(study, folder, StudyProgress(ended=[base.name]))
    assert (status.runs[1].state, status.stages_left) == ("waiting", 1)
    seconds = [line.seconds_per_step for line in read_metrics(base / "stages" / "2-together" / "metrics.jsonl")]
    assert status.training_left == pytest.approx(sum(seconds))  # type: ignore[arg-type]
    assert status.questions_left > 0  # type: ignore[operator]

    for made in ("eval", "model"):
        shutil.rmtree(base / made)
    (base / "stages" / "2-together" / "stage.json").unlink()
    metrics = base / "stages" / "2-together" / "metrics.jsonl"
    metrics.write_text("".join(metrics.read_text().splitlines(keepends=True)[:4]))
    status = look(study, folder, StudyProgress(running={base.name: study.runs[0]}))
    part = status.runs[0].part
    assert part is not None
    assert (part.name, part.step, part.steps) == ("together", 4, 6)
    assert part.loss == read_metrics(metrics)[-1].loss
    assert status.stages_left == 2
    assert status.training_left == pytest.approx((2 + 6) * part.pace)  # type: ignore[operator]
    assert status.questions_left is None
    metrics.write_text("no record\n")
    status = look(study, folder, StudyProgress(running={base.name: study.runs[0]}))
    assert status.runs[0].part == part._replace(step=0, pace=None, loss=None)


def test_the_probe_of_this_study_knows_the_time_before_anything_ran(study: Study, folder: StudyFolder) -> None:
    row = ProbedRow(
        seconds_beside=1.0,
        seconds_of_stages=[100.0, 1000.0],
        seconds_of_questions=50.0,
        bytes_of_stages=[1, 1],
        bytes_beside=1,
    )
    rows = dict.fromkeys(["base", "slower"], row)
    own = {run.rows[0]: sha256_without_name(run.experiment) for run in study.distinct}
    for specs, seconds in (({}, None), (own, pytest.approx(100 + 2 * 1000))):
        write_record(folder.path / "probe.json", StudyProbe(rows=rows, specs=specs).data())
        assert look(study, folder, StudyProgress()).training_left == seconds
