"""`vlmkit check STUDY` and `vlmkit ablate STUDY`: the table before and after, and what goes wrong in one message."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.errors import UserError
from vlmkit.study import launching, running
from vlmkit.study.rows import load_study
from vlmkit.study.study_plan import plan_study
from vlmkit.study.variance_components import PowerAssumptions, VarianceComponents

from .conftest import VARIANTS, HereLauncher, WriteStudy

pytestmark = pytest.mark.usefixtures("quick")


def call(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_a_study_is_shown_before_it_runs(write_study: WriteStudy) -> None:
    file = write_study(fixed="parameters")
    text = call("check", file, "--seed-deviation", "2")
    plan = plan_study(load_study(file))
    assert "4 rows, 2 seeds, all fit together" in text
    assert f"{plan.rows[1].summary.parts['aligner']:,}" in text
    assert f"{plan.rows[1].differs:+.1%}" in text
    assert "6 runs; 2 more are equal to one of them" in text
    assert "10 training stages to be trained of 16" in text
    questions = plan.questions["moving-shapes"]
    found = plan.detectable("moving-shapes", PowerAssumptions(seed_deviation=0.02).components(questions))
    assert f"differences of {100 * found:.1f} points" in text  # type: ignore[operator]
    assert found > plan.detectable("moving-shapes", PowerAssumptions(seed_deviation=0.01).components(questions))  # type: ignore[operator]


def test_the_power_is_told_in_the_unit_of_the_metric(write_study: WriteStudy) -> None:
    plan = replace(plan_study(load_study(write_study())), metrics={"moving-shapes": "score"})
    assert "of score is found can be told when two seeds" in plan.text(PowerAssumptions())
    measured = plan.text(PowerAssumptions(), {"moving-shapes": VarianceComponents(1e-3, 1e-3, runs=4)})
    assert re.search(r"differences of 0\.\d\d are found in 4 of 5 studies, with the variance that 4 runs", measured)


def test_a_study_that_may_stop_early_finds_less(write_study: WriteStudy) -> None:
    found = {}
    for stop_when in (None, {"difference": 1}):
        plan = plan_study(load_study(write_study(seeds=[1, 2, 3, 4], stop_when=stop_when)))
        found[stop_when is None] = plan.detectable("moving-shapes", PowerAssumptions().components(500))
    assert found[True] < found[False] < 3 * found[True]  # type: ignore[operator]
    few = {"seed_variance": "own", "stop_when": {"difference": 1}, "seeds": [1, 2, 3]}
    assert "give more `seeds`" in call("check", write_study(**few))


def test_the_steps_of_epochs_are_not_known_unless_they_are_the_same(write_study: WriteStudy) -> None:
    epochs = {"training.stages.together.steps": None, "training.stages.together.epochs": 2}
    longer = {"name": "longer", "set": {"training.stages.together.epochs": 3}}
    plan = plan_study(load_study(write_study(set=epochs, variants=[longer, VARIANTS[0]])))
    assert [(row.fixed, row.differs) for row in plan.rows] == [(None, 0.0), (None, None), (None, 0.0)]
    assert "not known" in plan.text(PowerAssumptions())


def test_with_one_seed_nothing_is_promised(write_study: WriteStudy) -> None:
    assert "with one seed, the variance over seeds is not known" in call("check", write_study(seeds=[1]))


def test_a_study_is_run_and_its_table_written(
    write_study: WriteStudy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Local(HereLauncher):
        def __init__(self, slots: int, devices: Sequence[str] = ()) -> None:
            super().__init__(broken="slower-seed2")

    monkeypatch.setattr(running, "_PAUSE", 0.0)
    monkeypatch.setattr(launching, "LocalLauncher", Local)
    file = write_study()
    with pytest.raises(UserError, match="1 run of the study failed, see above; --retry"):
        call("ablate", file, "--output", tmp_path / "runs")
    table = (tmp_path / "runs" / "tiny-study" / "table.md").read_text()
    assert "| STAB |" in table
    assert "Not all seeds have a result: slower (1)" in table


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "nothing"], "no row of the study is called so"),
        (["--cluster", "local", "--cluster-options", "[1]"], "expected a mapping"),
        (["--cluster", "local", "--devices", "0"], "give one of them"),
        (["--cluster-options", "{timeout_min: 5}"], "give --cluster slurm or --cluster local"),
    ],
)
def test_what_is_wrong_with_the_options_is_told(
    write_study: WriteStudy, tmp_path: Path, words: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        call("ablate", write_study(), "--output", tmp_path, *words)


def test_a_study_is_no_spec(write_study: WriteStudy, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--set and --resolved are for specs"):
        call("check", write_study(), "--resolved")


def test_processes_make_a_study(write_study: WriteStudy, tmp_path: Path) -> None:
    """One row more than the base, one seed, as processes of their own."""
    file = write_study(seeds=[1], variants=[{"name": "slower", "set": {"training.stages.together.steps": 2}}])
    text = call("ablate", file, "--output", tmp_path / "runs", "--jobs", "2")
    assert "1 stage taken from other runs" in text
    assert (tmp_path / "runs" / "tiny-study" / "slower-seed1" / "report.html").is_file()
