"""`vlmkit agreement`: tables of judges on the same answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vlmkit.api import Verdict

Told = Callable[..., tuple[int, str, str]]
SAID = {"a1": "lime", "a2": "grass", "b1": "brick", "c1": "moss"}
KIND = {
    "lime": Verdict(True, 5.0),
    "grass": Verdict(True, 2.0),
    "brick": Verdict(False, 0.0),
    "moss": Verdict(True, 3.0),
}
STERN = {"lime": Verdict(True, 4.0), "grass": Verdict(False, 2.0), "brick": Verdict(False, 1.0)}


def plain(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_two_judges(told: Told, finished_runs: Any, tmp_path: Path) -> None:
    run, file = finished_runs.add("mine", "words", SAID), tmp_path / "parted.jsonl"
    finished_runs.judge("mine", "kind", KIND)
    finished_runs.judge("mine", "stern", STERN)
    code, out, err = told("agreement", run, "--benchmarks-path", finished_runs.entries, "--output", file)
    assert (code, err) == (0, "")
    lines = plain(out)
    assert lines[1] == "judge accuracy 95% interval score 95% interval n unscored label contradicts score"
    assert lines[2].startswith("kind 1 75.0% ")
    assert lines[2].endswith(" 4 0 1")
    assert lines[3].startswith("stern 1 33.3% ")
    assert lines[3].endswith(" 3 1 0")
    assert lines[4] == "the 3 answers that all of them have scored"
    assert lines[6].startswith("kind 1 66.7% ")
    assert lines[8].startswith("labels: Krippendorff's alpha (nominal) 0.444 [")
    assert lines[8].endswith("], 3 answers with two or more")
    assert lines[9].startswith("scores: Krippendorff's alpha (interval) ")
    assert lines[10:14] == ["kind 1 (rows) and stern 1 (columns)", "right wrong", "right 1 1", "wrong 0 1"]
    assert lines[14:18] == [
        "1 answer on which they part",
        "a2 Which in a2? expected: green answer: grass",
        "kind 1 right, score 2",
        "stern 1 wrong, score 2",
    ]
    assert lines[18] == f"written: {file} (1 answer)"
    row = json.loads(file.read_text())
    assert (row["id"], row["judges"]["stern 1"]) == ("a2", {"correct": False, "score": 2.0, "raw": ""})


def test_one_judge_and_people(told: Told, finished_runs: Any, tmp_path: Path) -> None:
    run, more = finished_runs.add("mine", "words", SAID), ("--benchmarks-path", finished_runs.entries)
    finished_runs.judge("mine", "kind", KIND)
    code, out, err = told("agreement", run, *more)
    assert (code, out) == (2, "")
    assert "expected the verdicts of two judges or more, found those of kind 1 alone; run `vlmkit judge` with" in err
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\na1,right\na2,wrong\nb1,wrong\n")
    _, out, _ = told("agreement", run, "--labels", labels, *more)
    lines = plain(out)
    assert lines[3] == "kind 1 against 3 human labels"
    assert [line.rsplit(" ", 2)[0] for line in lines[4:10]] == [
        "says the same",
        "finds right what is right (sensitivity)",
        "finds wrong what is wrong (specificity)",
        "accuracy by the judge",
        "accuracy by the labels alone",
        "accuracy corrected by the labels",
    ]
    assert lines[4].startswith("says the same 66.7% ")
    labels.write_text("id,label\na1,right\nb1,right\n")
    _, out, _ = told("agreement", run, "--labels", labels, *more)
    assert "finds wrong what is wrong (specificity)  not known" in out
    assert told("agreement", run, "--labels", labels, "--output", tmp_path / "x.jsonl", *more)[0] == 2
    assert "it cannot be read" in told("agreement", run, "--labels", tmp_path / "none.csv", *more)[2]


def test_judges_that_always_agree(told: Told, finished_runs: Any) -> None:
    run = finished_runs.add("mine", "words", {"a1": "lime", "b1": "moss"})
    for name in ("one", "two"):
        finished_runs.judge("mine", name, KIND)
    _, out, _ = told("agreement", run, "--benchmarks-path", finished_runs.entries)
    assert "labels: Krippendorff's alpha (nominal) not known, all are the same, 2 answers with two or more\n" in out
    assert "they part on no answer\n" in out
