"""`vlmkit rescore`: tables of the same answers under several protocols."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import Verdict

Told = Callable[..., tuple[int, str, str]]
SAID = {
    "a1": "B",
    "a2": "Based on the video, the answer is C",  # the authors' rule reads the first capital letter: B
    "b1": "no idea",  # dropped by the authors' rule, unreadable by ours
    "b2": "A. red",
}


def test_the_same_answers_under_each_protocol(told: Told, finished_runs: Any, tmp_path: Path) -> None:
    run = finished_runs.add("mine", "colors", SAID)
    file = tmp_path / "new" / "flips.jsonl"
    code, out, err = told("rescore", run, "--benchmarks-path", finished_runs.entries, "--output", file)
    assert (code, err) == (0, "")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "colors, version 1, split test: 4 answers"
    assert lines[1] == "protocol metric value 95% interval n unreadable dropped at random unscored skipped"
    assert lines[2].startswith("authors@1 accuracy 66.7% ")
    assert lines[2].endswith(" 3 0 1 0 0 0")
    assert lines[3].startswith("strict@2 accuracy 25.0% ")
    assert lines[3].endswith(" 4 1 0 0 0 0")
    assert lines[4] == "2 questions scored differently"
    assert lines[5] == f"a2 right: B green answer: {SAID['a2']}"
    assert lines[6].startswith("authors right (read B: ")
    assert lines[7].startswith("strict wrong (read C: ")
    assert lines[8] == "b1 right: B green answer: no idea"
    assert lines[9].startswith("authors dropped (dropped")
    assert lines[10].startswith("strict wrong (unreadable")
    assert lines[11] == f"written: {file} (2 questions)"
    first, second = map(json.loads, file.read_text().splitlines())
    assert (first["id"], first["prediction"], first["correct"]) == ("a2", SAID["a2"], 1)
    assert first["protocols"]["authors"]["values"] == {"accuracy": 1.0}
    assert (second["protocols"]["authors"]["outcome"], second["protocols"]["authors"]["values"]) == ("dropped", {})


def test_a_file_alone_and_some_protocols(told: Told, finished_runs: Any, tmp_path: Path) -> None:
    run = finished_runs.add("mine", "colors", SAID)
    alone = tmp_path / "alone" / "predictions.jsonl"
    alone.parent.mkdir()
    alone.write_bytes((run / "eval/colors/predictions.jsonl").read_bytes())
    more = ("--benchmarks-path", finished_runs.entries)
    code, _, err = told("rescore", alone, *more)
    assert code == 2
    assert f"{alone}: there is no result beside these answers; name their entry with --benchmark" in err
    _, out, _ = told("rescore", alone, "--benchmark", "colors", "--protocol", "strict,authors", "--list", 1, *more)
    assert out.startswith("colors: 4 answers\n")
    assert out.index("strict@2") < out.index("authors@1")
    assert out.endswith("1 more; --list N shows more, --output FILE.jsonl writes all\n")
    _, out, _ = told("rescore", alone, "--benchmark", "colors", "--protocol", "strict", *more)
    assert "scored differently" not in out, "one protocol differs from none"


def test_stored_verdicts_count_and_others_are_not_asked_for(told: Told, finished_runs: Any) -> None:
    run = finished_runs.add("mine", "words", {"a1": "lime", "b1": "grass", "c1": "brick"})
    more = ("--benchmarks-path", finished_runs.entries)
    _, out, _ = told("rescore", run, *more)
    assert " ".join(out.splitlines()[2].split()) == "authors@1 accuracy none 0 0 0 0 3 0"
    assert "unscored: no verdict on the answer is stored; `vlmkit judge` asks for it" in out
    finished_runs.judge("mine", "kind", {"lime": Verdict(True, 5.0), "brick": Verdict(False, 0.0)})
    _, out, _ = told("rescore", run, *more)
    assert "what a protocol leaves to a judge: by the stored verdicts of kind 1\n" in out
    assert " accuracy  50.0%  " in out
    finished_runs.judge("mine", "stern", {"lime": Verdict(False, 1.0)}, prompted=True)
    code, _, err = told("rescore", run, *more)
    assert code == 2
    assert "there are verdicts of several judges: kind 1, stern 1; choose one with --judge" in err
    _, out, _ = told("rescore", run, "--judge", "stern", *more)
    assert " accuracy  0.0%  " in out


def test_how_the_answers_were_asked_is_said(told: Told, finished_runs: Any) -> None:
    decoding = {"greedy": True, "max_new_tokens": 5, "batch_size": 4}
    run = finished_runs.add("mine", "colors", SAID, decoding=decoding)
    _, out, _ = told("rescore", run, "--benchmarks-path", finished_runs.entries)
    said = "asked in the way of authors@1; read and scored in the way of each protocol below"
    assert out.splitlines()[1] == said


def test_a_setting_without_effect_is_said(told: Told, finished_runs: Any) -> None:
    run = finished_runs.add("mine", "colors", SAID)
    _, out, _ = told("rescore", run, "--judge", "exact", "--benchmarks-path", finished_runs.entries)
    assert "--judge exact changes nothing: these protocols leave no answer to a judge" in out


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--protocol", "authours"), "there is no protocol 'authours'; did you mean 'authors'"),
        (("--protocol", "strict,strict"), "--protocol: 'strict' stands there twice"),
        (
            ("--benchmark", "colours"),
            "there are no answers to 'colours' in it; did you mean 'colors'? there are",
        ),
        (("--output", "flips.csv"), "--output flips.csv: expected the name of a .jsonl file"),
    ],
)
def test_mistakes(told: Told, finished_runs: Any, more: tuple[str, ...], said: str) -> None:
    run = finished_runs.add("mine", "colors", SAID)
    code, _, err = told("rescore", run, *more, "--benchmarks-path", finished_runs.entries)
    assert code == 2
    assert said in err
