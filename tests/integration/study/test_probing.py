"""The probe of a study: hours and disk, each shared stage once, and the rows that fail."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.errors import UserError
from vlmkit.study import launching
from vlmkit.study.probing import ProbedRow, StudyProbe, probe_study
from vlmkit.study.rows import load_study

from .conftest import HereLauncher, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")
ROW = ProbedRow(
    seconds_beside=10.0,
    seconds_of_stages=[100.0, 1000.0],
    seconds_of_questions=50.0,
    bytes_of_stages=[2**30, 2 * 2**30],
    bytes_beside=2**30,
)


def test_stages_that_are_shared_are_paid_for_once(write_study: WriteStudy) -> None:
    study = load_study(write_study(seeds=[1]))
    rows = dict.fromkeys(["base", "without-fsra", "slower"], ROW)
    cost = StudyProbe(rows=rows, specs={}).cost(study.runs)
    assert cost.hours * 3600 == pytest.approx(3 * (10 + 50) + 2 * 100 + 3 * 1000)  # base and slower share a stage
    assert cost.gib == pytest.approx(3 + 2 + 6)


def test_a_short_run_of_each_row_tells_time_and_size(write_study: WriteStudy) -> None:
    study = load_study(
        write_study(seeds=[1], variants=[{"name": "long", "set": {"training.stages.together.steps": 600}}])
    )
    launcher = HereLauncher()
    probe = probe_study(study, launcher, {"moving-shapes": 3000})
    assert launcher.started == ["base-seed1", "long-seed1"]
    base, long = probe.rows["base"], probe.rows["long"]
    assert long.seconds_of_stages[1] > 20 * base.seconds_of_stages[1]
    assert all(size > 2**10 for size in base.bytes_of_stages)
    assert base.seconds_of_questions > 0
    assert probe.is_of(study)
    assert not probe.is_of(load_study(write_study()))


def test_what_fails_is_found_before_the_study_runs(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "LocalLauncher", lambda slots: HereLauncher(broken="base"))
    file = write_study(seeds=[1], variants=[{"name": "long", "set": {"training.stages.together.steps": 9}}])
    with pytest.raises(UserError, match=r"1 row of tiny-study failed in the probe:\nbase: .*it is broken"):
        CliRunner().invoke(app, ["check", str(file), "--probe"], catch_exceptions=False)


def test_a_study_over_its_budget_is_not_begun(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = HereLauncher()
    monkeypatch.setattr(launching, "LocalLauncher", lambda *arguments: launcher)
    file = write_study(
        seeds=[1], variants=[{"name": "slower", "set": {"training.stages.together.steps": 2}}], budget={"hours": 1e-9}
    )
    command = ["ablate", str(file), "--output", str(tmp_path / "runs")]
    for _ in range(2):  # the probe is made once
        with pytest.raises(UserError, match=r"2 runs would take .* hours on this machine, expected at most 1e-09"):
            CliRunner().invoke(app, command, catch_exceptions=False)
    assert len(launcher.started) == 2
    assert not (tmp_path / "runs" / "tiny-study" / "base-seed1").exists()
