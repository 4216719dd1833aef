"""Axes of compared systems, and scores by question type."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vlmkit.evaluation.records import Metric
from vlmkit.report.compared_scores import Axis, benchmark_answers, difference_axis, score_axis, type_rows
from vlmkit.report.compared_systems import ComparedSystem, SystemComparison
from vlmkit.study.table_records import Cell, Column, Difference, StudyTable, TableRow

from .conftest import TYPES, two_runs

KEY = "shapes/accuracy"


def comparison(metric: str, *ends: tuple[float, float], top: float = 0.5) -> SystemComparison:
    """A base, and a row for each difference with such an interval."""
    score = Metric(value=top / 2, ci95=[0.0, top])
    rows = [TableRow(name="base", label="base", cells={KEY: Cell(score=score, seeds={1: 0.2}, seed_deviation=0.0)})]
    for number, (low, high) in enumerate(ends):
        found = Difference(value=(low + high) / 2, ci95=(low, high), p=0.2, p_corrected=0.2, seeds=1)
        cell = Cell(score=score, seeds={1: 0.2}, seed_deviation=0.0, difference=found)
        rows.append(TableRow(name=f"row{number}", label=f"row {number}", cells={KEY: cell}))
    column = Column(benchmark="shapes", metric=metric, protocol="own@1", judge="none", split="test", questions=9)
    table = StudyTable(study="s", title="", columns={KEY: column}, rows=rows, correction="holm", seed_variance="own")
    return SystemComparison("s", "study", table, [ComparedSystem(row, (), "") for row in rows], [])


def test_a_mark_lies_in_percent_of_its_axis_and_never_beside_it() -> None:
    mark = Axis(-2.0, 2.0, ("", "", "")).mark(3, 0.0, (-1.0, 5.0), [0.0, 1.0], 1.0)
    assert mark[:4] == (3, 50.0, 25.0, 100.0)
    assert mark.seeds == [50.0, 75.0]
    assert mark.published == 75.0


def test_a_single_seed_has_no_tick_of_its_own() -> None:
    assert Axis(0.0, 1.0, ("", "", "")).mark(0, 0.5, (0.4, 0.6), [0.5]).seeds == []


@pytest.mark.parametrize(("metric", "top", "high"), [("accuracy", 0.5, 1.0), ("score", 3.2, 4.0)])
def test_scores_begin_at_zero_and_accuracies_end_at_one(metric: str, top: float, high: float) -> None:
    axis = score_axis(comparison(metric, top=top), KEY)
    assert (axis.low, axis.high) == (0.0, high)


@pytest.mark.parametrize(
    ("ends", "top"),
    [((-0.012, 0.004), 0.015), ((0.0, 0.0), 1e-4), ((-0.3, 0.34), 0.4), ((-1.0, 1.0), 1.0), ((0.08, 0.099), 0.1)],
)
def test_the_axis_of_differences_holds_all_intervals_with_zero_in_its_middle(
    ends: tuple[float, float], top: float
) -> None:
    axis = difference_axis(comparison("accuracy", ends, (0.0, 0.0)), KEY)
    assert axis is not None
    assert [axis.low, axis.high] == pytest.approx([-top, top])
    assert axis.place(0.0) == 50.0
    assert axis.ticks[1] == "0"


def test_a_base_alone_has_no_axis_of_differences() -> None:
    assert difference_axis(comparison("accuracy"), KEY) is None


def test_types_have_the_score_and_the_number_of_questions_of_each_system(run_folder: Path) -> None:
    compared = two_runs(run_folder)
    [answers], untold = benchmark_answers(compared)
    assert untold == {}
    rows = type_rows(compared, answers, score_axis(compared, KEY))
    assert {row.name for row in rows} == set(TYPES)
    assert all(row.n == 10 for row in rows)
    for system, run in enumerate(system.runs[0] for system in compared.systems):
        by_type = run.results["shapes"].by_type
        for row in rows:
            score = row.scores[system]
            assert score is not None
            assert score.value == pytest.approx(by_type[row.name].metrics["accuracy"].value)
            assert score.ci95[0] <= score.value <= score.ci95[1]
    base = [row.scores[0].value for row in rows if row.scores[0]]
    assert base == sorted(base, reverse=True)


def test_answers_that_cannot_be_read_are_told(run_folder: Path) -> None:
    compared = two_runs(run_folder)
    shutil.rmtree(run_folder / "eval/shapes")
    answers, untold = benchmark_answers(compared)
    assert answers == []
    assert "there is no result of shapes" in untold["shapes"]
