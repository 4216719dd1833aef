"""`vlmkit report` with one run, with several, and with a study."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import vlmkit.report

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """What is asked of the pages, which are not written."""
    found: list[tuple[object, ...]] = []

    def note(name: str) -> Callable[..., Path]:
        return lambda *arguments: found.append((name, *arguments)) or Path("page.html")  # type: ignore[func-returns-value]

    for name in ("write_report", "write_comparison"):
        monkeypatch.setattr(vlmkit.report, name, note(name))
    return found


def test_one_run_has_its_report(told: Told, asked: list[tuple[object, ...]]) -> None:
    assert told("report", "runs/a") == (0, "report: page.html\n", "")
    assert asked == [("write_report", Path("runs/a"))]


def test_several_runs_are_compared(told: Told, asked: list[tuple[object, ...]]) -> None:
    assert told("report", "a", "b")[0] == 0
    assert told("report", "a", "b", "--to", "x.html", "--samples", "7")[0] == 0
    runs = [Path("a"), Path("b")]
    assert asked == [
        ("write_comparison", runs, Path("comparison.html"), 200),
        ("write_comparison", runs, Path("x.html"), 7),
    ]


def test_the_page_of_a_single_run_has_its_place(told: Told, asked: list[tuple[object, ...]]) -> None:
    code, _, error = told("report", "a", "--to", "x.html")
    assert code == 2
    assert "--to is for comparisons" in error
    assert asked == []


def test_the_folder_of_a_study_is_no_run(told: Told, asked: list[tuple[object, ...]], tmp_path: Path) -> None:
    (tmp_path / "study" / "specs").mkdir(parents=True)
    code, _, error = told("report", "a", tmp_path / "study")
    assert code == 2
    assert "found the folder of a study; give the study's file" in error
    assert asked == []


def test_a_file_that_is_no_study_is_no_run(told: Told, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("vlmkit: 1\n")
    code, _, error = told("report", tmp_path / "spec.yaml")
    assert code == 2
    assert "expected a run folder" in error
