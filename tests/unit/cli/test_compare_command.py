"""`vlmkit compare`: tables of two systems, and what they tell in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from string import ascii_lowercase
from typing import Any

Told = Callable[..., tuple[int, str, str]]
FIRST = {"a1": "B", "a2": "B", "b1": "B", "b2": "A", "c1": "A"}
SECOND = {"a1": "B", "a2": "C", "b1": "C", "b2": "A", "c1": "B"}


def plain(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_tables_and_words(told: Told, finished_runs: Any, tmp_path: Path) -> None:
    a, b = finished_runs.add("a", "colors", FIRST), finished_runs.add("b", "colors", SECOND)
    file = tmp_path / "apart.jsonl"
    more = ("--benchmarks-path", finished_runs.entries, "--output", file, "--list", 2)
    code, out, err = told("compare", a, b, *more)
    assert (code, err) == (0, "")
    lines = plain(out)
    assert lines[:2] == [f"A {a}: colors, version 1, split test: 5 answers",
                         f"B {b}: colors, version 1, split test: 5 answers"]  # fmt: skip
    assert lines[2] == "accuracy, A minus B"
    assert lines[3] == "n A B difference 95% interval A higher B higher equal McNemar p"
    assert lines[4].startswith("all 5 60.0% 40.0% +20.00 ")
    assert lines[4].endswith(" 2 1 2 1")
    assert lines[5] == "accuracy by type"
    assert lines[7].startswith("what 3 66.7% 66.7% +0.00 ")
    assert lines[8].startswith("where 2 50.0% 0.0% +50.00 ")
    assert lines[9:13] == [
        "questions that tell A and B apart",
        "a2 Which in a2? right: green",
        "A 100.0% B",
        "B 0.0% C",
    ]
    assert lines[16] == "1 more; --output FILE.jsonl writes all"
    assert lines[17] == f"written: {file} (3 questions that tell A and B apart)"
    assert lines[18].startswith("no difference can be told: accuracy of A is 20.00 points higher than that of B, 95% i")
    row = json.loads(file.read_text().splitlines()[0])
    assert (row["id"], row["A"], row["B"]) == (
        "a2", {"prediction": "B", "value": 1.0}, {"prediction": "C", "value": 0.0},
    )  # fmt: skip


def test_a_difference_is_told(told: Told, finished_runs: Any) -> None:
    questions = [f"{video}1" for video in ascii_lowercase]
    a = finished_runs.add("a", "colors", dict.fromkeys(questions, "B"))
    b = finished_runs.add("b", "colors", {key: "B" if key < "k" else "C" for key in questions})
    _, out, _ = told("compare", b, a, "--benchmarks-path", finished_runs.entries)
    assert out.splitlines()[-1].startswith("accuracy of A is lower than that of B by 61.54 points, 95% interval -81.")
    assert "by type" not in out, "there is one type alone"
    close = finished_runs.add("c", "colors", {key: "B" if key < "y" else "C" for key in questions})
    _, out, _ = told("compare", a, close, "--benchmarks-path", finished_runs.entries)
    assert "no difference can be told: accuracy of A is 7.69 points higher than that of B, 95% interval -3." in out
    assert "\nto find a difference of 7.69 points in 4 of 5 cases, " in out
    assert " more questions like these would be needed\n" in out
    _, out, _ = told("compare", a, a, "--benchmarks-path", finished_runs.entries)
    assert "no difference can be told: accuracy of A is as high as that of B" in out


def test_what_differs_stands_on_every_table(told: Told, finished_runs: Any) -> None:
    a = finished_runs.add("a", "colors", FIRST)
    b = finished_runs.add("b", "colors", SECOND, protocol="strict@2")
    more = ("--benchmarks-path", finished_runs.entries)
    code, out, err = told("compare", a, b, *more)
    assert (code, out) == (2, "")
    assert "differ in more than the system:\n  protocol: authors@1 against strict@2\n--across compares" in err
    code, out, _ = told("compare", a, b, "--across", "--list", 1, *more)
    assert code == 0
    assert "not the same: protocol, authors@1 (A) against strict@2 (B)\n" in out
    for title in ("accuracy, A minus B", "accuracy by type", "questions that tell A and B apart"):
        assert f"{title} (across: protocol)\n" in out
    assert any(line.startswith("no difference") and line.endswith("(across: protocol)") for line in out.splitlines())


def test_what_is_left_out_is_said(told: Told, finished_runs: Any) -> None:
    a = finished_runs.add("a", "colors", {**FIRST, "a1": "no idea"})
    b = finished_runs.add("b", "colors", {**SECOND, "b2": None})
    _, out, _ = told("compare", a, b, "--benchmarks-path", finished_runs.entries)
    assert "2 questions left out: A, B or both have no score of it\n" in out


def test_mistakes(told: Told, finished_runs: Any, tmp_path: Path) -> None:
    a = finished_runs.add("a", "colors", FIRST)
    more = ("--benchmarks-path", finished_runs.entries)
    assert "there is none" in told("compare", a, tmp_path / "b", *more)[2]
    assert "found 'acuracy'; did you mean 'accuracy'" in told("compare", a, a, "--metric", "acuracy", *more)[2]
    alone = tmp_path / "alone.jsonl"
    alone.write_bytes((a / "eval/colors/predictions.jsonl").read_bytes())
    said = told("compare", a, alone, "--benchmark", "colors", *more)[2]
    assert f"{alone}: there is no result.json beside these answers; give the folder of a run" in said
