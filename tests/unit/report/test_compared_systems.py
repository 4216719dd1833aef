"""Runs that belong to no study become the rows of a table, compared with the first."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vlmkit.errors import RunError
from vlmkit.evaluation.comparing import compare
from vlmkit.evaluation.finished import find_finished
from vlmkit.report.compared_systems import compare_runs

from .conftest import second_run, two_runs

KEY = "shapes/accuracy"


def rewrite(folder: Path, **changes: object) -> None:
    path = folder / "eval/shapes/result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_the_second_run_is_compared_with_the_first_as_on_the_command_line(run_folder: Path) -> None:
    compared = two_runs(run_folder)
    base, other = (system.row.cells[KEY] for system in compared.systems)
    first, second = (find_finished(system.runs[0].folder) for system in compared.systems)
    pair = compare(second, first).whole.paired
    assert base.difference is None
    assert other.difference is not None
    assert other.difference.value == pytest.approx(pair.difference.value)
    assert other.difference.value == pytest.approx(other.score.value - base.score.value)
    assert other.difference.ci95 == (pair.difference.low, pair.difference.high)
    assert other.difference.p == pair.p_clustered
    assert "Differences are to 'tiny', question by question; p is two-sided" in compared.notes


def test_costs_are_those_of_the_files(run_folder: Path) -> None:
    first = two_runs(run_folder).systems[0]
    assert (first.row.parameters, first.row.tokens, first.row.macs) == (103424, 96, 68300000)
    assert first.seconds_per_step == 0.31
    assert first.training_seconds == pytest.approx(800 * 0.31)
    assert first.evaluation_seconds == 12.5


def test_runs_of_one_name_are_called_by_their_folders_and_then_by_numbers(run_folder: Path) -> None:
    second = second_run(run_folder)
    assert [system.label for system in compare_runs([run_folder, second]).systems] == ["tiny", "second"]
    again = compare_runs([run_folder, run_folder])
    assert [system.label for system in again.systems] == ["tiny (1)", "tiny (2)"]
    assert [system.about for system in again.systems] == ["tiny", "tiny"], "the folder, where it tells more"


def test_results_that_differ_in_more_than_the_system_are_shown_without_a_difference(run_folder: Path) -> None:
    second = second_run(run_folder)
    rewrite(second, split="validation")
    compared = compare_runs([run_folder, second])
    assert compared.systems[1].row.cells[KEY].difference is None
    [why] = [note for note in compared.notes if "no difference is given" in note]
    assert why.startswith("second, shapes:")
    assert "split: validation against test" in why


def test_a_run_without_a_result_has_an_empty_row(run_folder: Path) -> None:
    second = second_run(run_folder)
    shutil.rmtree(second / "eval")
    assert compare_runs([run_folder, second]).systems[1].row.cells == {}


def test_runs_without_any_score_are_refused(run_folder: Path) -> None:
    shutil.rmtree(run_folder / "eval")
    with pytest.raises(RunError, match="none of these runs holds a score; `vlmkit eval RUN`"):
        compare_runs([run_folder, run_folder])
