"""The observer `csv`: which rows are in the file, also after an interruption."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from vlmkit.api import DataError, Observer
from vlmkit_observers.spec import CsvSpec


def _rows(run: Path) -> list[tuple[str, ...]]:
    with (run / "metrics.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["stage", "benchmark", "step", "metric", "value"]
    return [tuple(row) for row in rows]


def _train(observer: Observer, stage: str, steps: range, ends: bool = True) -> None:
    observer.stage_started(stage, {})
    for step in steps:
        observer.step_ended(stage, step, {"step": step, "loss": 1 / step})
    if ends:
        observer.stage_ended(stage)


def test_numbers_of_steps_and_scores(tmp_path: Path) -> None:
    observer = CsvSpec().build(tmp_path)
    _train(observer, "align", range(1, 3))
    observer.evaluated("odd, name", {"accuracy": 0.25, "n": 4}, {})
    assert _rows(tmp_path) == [
        ("align", "", "1", "loss", "1.0"),
        ("align", "", "2", "loss", "0.5"),
        ("", "odd, name", "", "accuracy", "0.25"),
        ("", "odd, name", "", "n", "4"),
    ]


@pytest.mark.parametrize(
    ("every", "steps", "expected"),
    [(1, range(1, 4), "123"), (3, range(1, 9), "1368"), (4, range(2, 9, 2), "248"), (10, range(5, 6), "5")],
)
def test_every_so_many_steps_and_the_last(tmp_path: Path, every: int, steps: range, expected: str) -> None:
    _train(CsvSpec(every=every).build(tmp_path), "align", steps)
    assert "".join(row[2] for row in _rows(tmp_path)) == expected


def test_what_comes_again_takes_the_place_of_what_was_there(tmp_path: Path) -> None:
    first = CsvSpec().build(tmp_path)
    _train(first, "align", range(1, 3))
    _train(first, "tune", range(1, 6), ends=False)
    first.evaluated("tiny", {"accuracy": 0.25}, {})
    again = CsvSpec().build(tmp_path)
    _train(again, "tune", range(4, 6))
    again.evaluated("tiny", {"accuracy": 0.5}, {})
    rows = _rows(tmp_path)
    assert [(row[0], row[2]) for row in rows if row[0]] == [
        *(("align", str(step)) for step in range(1, 3)),
        *(("tune", str(step)) for step in range(1, 6)),
    ]
    assert [row[4] for row in rows if row[1]] == ["0.5"]


@pytest.mark.parametrize("text", ["a,b\n1,2\n", "stage,benchmark,step,metric,value\nalign,,1,loss\n"])
def test_another_table_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(DataError, match="expected the columns stage, benchmark, step, metric, value in all lines"):
        CsvSpec().build(tmp_path).evaluated("tiny", {"accuracy": 0.5}, {})
    assert (tmp_path / "metrics.csv").read_text() == text
