"""`vlmkit power`."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from vlmkit.cli import app
from vlmkit.errors import UserError


def _power(*options: str) -> list[list[str]]:
    """The cells of the table, without the line above it."""
    result = CliRunner().invoke(app, ["power", *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [[cell.strip() for cell in line.split("  ") if cell] for line in result.output.splitlines()[1:]]


def test_the_difference_that_questions_detect() -> None:
    header, different, *same = _power("--questions", "385")
    assert header == ["comparison", "385 questions detect"]
    assert different == ["different questions", "9.99"]
    assert [row[0].split()[2] for row in same] == ["5%", "10%", "20%", "30%"]
    assert [float(row[1]) for row in same] == sorted(float(row[1]) for row in same)


def test_the_questions_and_videos_that_a_difference_needs() -> None:
    rows = _power("--difference", "5", "--discordant", "20", "--per-video", "3", "--design-effect", "2")
    assert rows == [
        ["comparison", "questions for 5", "videos"],
        ["different questions", "3,124", "1,042"],
        ["same questions, 20% answered by one alone", "1,241", "414"],
    ]


def test_seeds_and_power_of_a_plan() -> None:
    plan = ("--questions", "1000", "--difference", "5", "--discordant", "20", "--seed-deviation", "2", "--seeds", "7")
    header, _, same = _power(*plan)
    assert header[-2:] == ["power of both", "seeds for both"]
    assert same[-2:] == ["0.81", "7"]


def test_no_number_of_questions_brings_more_than_all() -> None:
    assert _power("--difference", "6", "--accuracy", "95")[1][1] == "no number"


def test_neither_questions_nor_a_difference() -> None:
    with pytest.raises(UserError, match="needs --questions N, --difference POINTS, or both"):
        CliRunner().invoke(app, ["power"], catch_exceptions=False)
