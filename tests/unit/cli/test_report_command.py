"""`vlmkit report` with one run, with several, with a study, and with a figure of the paper."""

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

    def note(name: str) -> Callable[..., object]:
        page = Path("page.html")
        made = (page, page.with_suffix(".svg")) if name == "write_figure" else page
        return lambda *arguments: found.append((name, *arguments)) or made  # type: ignore[func-returns-value]

    for name in ("write_report", "write_comparison", "write_figure"):
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


def test_a_figure_has_a_page_and_an_svg(told: Told, asked: list[tuple[object, ...]]) -> None:
    assert told("report", "--figure", "1") == (0, "report: page.html, page.svg\n", "")
    assert told("report", "--figure", "1", "--to", "x.html")[0] == 0
    assert asked == [("write_figure", 1, Path("figure-1.html")), ("write_figure", 1, Path("x.html"))]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--figure", "2"), "--figure 2: this figure of arXiv:2412.18609 cannot be made; figures: 1, accuracy against"),
        (("--figure", "1", "runs/a"), "--figure 1 takes no runs: it is made from shipped specs and published scores"),
        (("--figure", "1", "--to", "x.svg"), "--to x.svg: expected the name of a page, FILE.html"),
        ((), "expected run folders, a study file, or --figure 1"),
    ],
)
def test_a_figure_that_cannot_be_made(told: Told, arguments: tuple[str, ...], message: str) -> None:
    code, out, error = told("report", *arguments)
    assert (code, out) == (2, "")
    assert error.startswith(f"vlmkit: {message}")
