"""The screen of `vlmkit ablate` as text: wide, narrow, low, and as lines without a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from vlmkit.cli.study_screen import ProgressLines, StudyScreen
from vlmkit.study.run_status import Part, RunStatus, Score
from vlmkit.study.running import StudyProgress
from vlmkit.study.study_status import StudyStatus

DONE = RunStatus("base-seed1", "done", scores=(Score("moving-shapes", "accuracy", 0.687),))
TAKEN = replace(DONE, name="without-rows-seed1", taken_from="first/base-seed1")
RUNNING = RunStatus(
    "without-fsra-seed1", "running", Part("together", False, 120, 300, 2.0, 1.2345), stages_taken=("base-seed1",) * 2
)
ASKED = RunStatus("without-lsd-seed1", "running", Part("eval moving-shapes", False, 64, None, None))
FAILED = RunStatus("slower-seed1", "failed", error="vlmkit: [bold]the disk is full[/]")
WAITING = RunStatus("base-seed2", "waiting")
REPORTED = RunStatus("base-seed3", "running")
STATUS = StudyStatus("modules", (DONE, TAKEN, RUNNING, ASKED, FAILED, WAITING), 6, 2, 9, 4000.0, 60.0)


def many(count: int) -> StudyStatus:
    """A study of so many runs, of which a third each are done and wait, two failed, and the others run."""
    kinds = [DONE, WAITING, RUNNING]
    runs = [replace(kinds[number % 3], name=f"row-{number}-seed1") for number in range(count - 2)]
    return replace(STATUS, runs=(*runs, FAILED, replace(FAILED, name="slower-seed2")))


def drawn(status: StudyStatus, width: int, height: int = 50) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(StudyScreen(status, fit=True))
    lines = [line.rstrip() for line in capture.get().splitlines()]
    assert all(len(line) <= width for line in lines)
    assert len(lines) <= height
    return lines


def test_every_run_has_its_line() -> None:
    title, _, states, stages, empty, *rows = drawn(STATUS, 120)
    assert title == "modules: 2 of 6 runs done, 1 h 8 min left"
    assert states == "2 running, 1 waiting, 1 failed"
    assert stages == "stages: 6 trained, 2 taken from other runs, 9 to train"
    assert empty == ""
    assert rows == [
        "base-seed1          done     accuracy 68.7%",
        "without-rows-seed1  done     accuracy 68.7%  taken from first/base-seed1",
        "without-fsra-seed1  running  together             120/300  loss 1.234  6 min left  2 stages taken from "
        "base-seed1",
        "without-lsd-seed1   running  eval moving-shapes        64",
        "slower-seed1        failed   vlmkit: [bold]the disk is full[/]",
        "base-seed2          waiting",
    ]


def test_the_time_left_is_told_as_far_as_it_is_known() -> None:
    title = "modules: 2 of 6 runs done"
    assert drawn(replace(STATUS, questions_left=None), 60)[0] == f"{title}, 1 h 7 min of training left"
    assert drawn(replace(STATUS, training_left=None), 60)[0] == f"{title}, time left not known yet"
    over = drawn(replace(STATUS, runs=(DONE, DONE), stages_left=0), 60)
    assert [over[0], over[2]] == [
        "modules: 2 of 2 runs done",
        "stages: 6 trained, 2 taken from other runs, 0 to train",
    ]


def test_a_narrow_terminal_shows_what_counts_most() -> None:
    rows = drawn(STATUS, 60)[5:]
    assert rows[1] == "without-rows-seed1  done     accuracy 68.7%"
    assert rows[2] == "without-fsra-seed1  running  together   120/300  6 min left"
    assert drawn(replace(STATUS, runs=(REPORTED,)), 60)[5] == "base-seed3  running  report"
    long = replace(RUNNING, name="a-row-of-which-the-name-is-far-too-long-seed3")
    assert drawn(replace(STATUS, runs=(long,)), 60)[5].startswith("a-row-of-w…ong-seed3  running")


def test_many_runs_are_counted_where_there_is_no_room() -> None:
    """First those that wait, then those that are done; those that run as far as there is room."""
    status = many(60)
    assert len(drawn(status, 80, 70)[5:]) == 60
    rows = drawn(status, 80, 50)[5:]
    assert (len(rows), rows[-1]) == (42, "19 waiting")
    assert sum("accuracy" in row for row in rows) == 20
    rows = drawn(status, 80, 30)[5:]
    assert (len(rows), rows[-2:]) == (23, ["20 done", "19 waiting"])
    rows = drawn(status, 60, 8)[5:]
    assert rows == ["and 21 more, running or failed", "20 done", "19 waiting"]
    rows = drawn(status, 60, 12)[5:]
    assert (len(rows), rows[-3:]) == (7, ["and 17 more, running or failed", "20 done", "19 waiting"])


def test_the_next_drawing_has_the_new_size_of_the_terminal() -> None:
    console = Console(file=io.StringIO(), width=120, height=50)
    screen, heights = StudyScreen(many(60), fit=True), []
    for width, height in ((120, 70), (60, 12), (100, 70)):
        console.size = (width, height)
        with console.capture() as capture:
            console.print(screen)
        heights.append(len(capture.get().splitlines()))
    assert heights == [65, 12, 65]


def test_lines_say_what_has_changed_once(capsys: pytest.CaptureFixture[str]) -> None:
    lines = ProgressLines(3)
    progress = StudyProgress(passed_over=["base-seed1"], stages_taken={"slower-seed1": ["1-language"]})
    progress.running = {"slower-seed1": None}  # type: ignore[dict-item]
    for _ in range(2):
        lines(progress)
    progress.running = {}
    progress.ended.append("slower-seed1")
    progress.failed.append("other-seed1")
    lines(progress)
    assert capsys.readouterr().err.splitlines() == [
        "1 run of 3 done before",
        "slower-seed1: started, with the stages 1-language of others",
        "slower-seed1: done (2 of 3)",
        "other-seed1: failed",
    ]
