"""`vlmkit judge` on answers of another tool, which come with the verdicts of somebody's judge."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from vlmkit.evaluation import read_result

Told = Callable[..., tuple[int, str, str]]


@pytest.fixture
def entries(write_entries: Callable[[str], Path]) -> Path:
    """A folder of entries with one of three questions."""
    return write_entries("abc")


@pytest.fixture
def run(told: Told, entries: Path, tmp_path: Path) -> Path:
    """Three answers, of which the judge that came along found the two wordy ones right."""
    answers = {"a": ("yes", "a small cup"), "b": ("yes", "some cup there"), "c": ("no", "a hat")}
    judged = {
        key: [{"pred": pred, "score": 4 if pred == "yes" else 0}, {"q": "what?", "a": "cup", "pred": said}]
        for key, (pred, said) in answers.items()
    }
    (tmp_path / "judged.json").write_text(json.dumps(judged))
    given = ("answers", "import", tmp_path / "judged.json", "--benchmark", "tiny", "--benchmarks-path", entries)
    assert told(*given, "--to", tmp_path / "theirs")[0] == 0
    return tmp_path / "theirs"


def test_scores_stand_beside_those_of_the_judge_before(told: Told, run: Path, entries: Path) -> None:
    code, out, err = told("judge", run, "--benchmarks-path", entries, "--judge", "exact")
    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["tiny"]
    assert lines[1][:4] == ["before:", "gpt-3.5-turbo-0125", "stored", "now:"]
    assert [word for word in lines[2] if word[0].isdigit() and word.endswith("%")] == ["66.7%", "0.0%"]
    assert lines[3:] == [["n", "3", "3"], ["unscored", "0", "0"], ["contradictions", "0", "0"]]
    assert read_result(run / "eval/tiny/result.json").metrics["accuracy"].value == 0
    code, out, _ = told("judge", run, "--benchmarks-path", entries, "--judge", "gpt-3.5-turbo-0125")
    assert code == 0
    assert read_result(run / "eval/tiny/result.json").metrics["accuracy"].value == pytest.approx(2 / 3)


def test_a_dry_run_says_what_there_is_to_judge(told: Told, run: Path, entries: Path) -> None:
    before = sorted((file, file.stat().st_mtime_ns) for file in run.rglob("*"))
    code, out, _ = told("judge", run, "--benchmarks-path", entries, "--judge", "exact", "--dry-run")
    assert (code, out) == (0, "tiny: 3 answers to judge, 3 of them new; at no cost\n")
    assert told("judge", run, "--benchmarks-path", entries, "--dry-run")[1].endswith("0 of them new\n")
    assert sorted((file, file.stat().st_mtime_ns) for file in run.rglob("*")) == before


def test_mistakes_are_one_message(told: Told, run: Path, entries: Path) -> None:
    known = ("judge", run, "--benchmarks-path", entries)
    for given, message in (
        (("judge", run), "there is no benchmark 'tiny'"),
        ((*known, "--benchmark", "tony"), "there are no answers to 'tony' in it; did you mean 'tiny'? there are: tiny"),
        ((*known, "--judge", "gpt"), "--judge: no installed plugin offers judge"),
        (("judge", entries), "it holds no answers"),
    ):
        code, out, err = told(*given)
        assert (code, out) == (2, "")
        assert message in err
