"""The data of the browser for samples."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from vlmkit.report import sample_browser as room
from vlmkit.report.compared_scores import benchmark_answers
from vlmkit.report.sample_browser import SampleBrowser, sample_browser

from .conftest import two_runs


def browse(run_folder: Path, samples: int = 1000) -> SampleBrowser:
    compared = two_runs(run_folder)
    return sample_browser(compared, benchmark_answers(compared)[0], samples)


def test_every_question_has_the_answers_of_both_runs(run_folder: Path) -> None:
    found = browse(run_folder)
    assert (found.chosen, found.questions, found.without_frames) == (60, 60, 0)
    asked = [json.loads(line) for line in (run_folder / "eval/shapes/predictions.jsonl").read_text().splitlines()]
    for place, (sample, row) in enumerate(zip(found.data["samples"], asked, strict=True)):
        first, second = sample["answers"]
        assert (sample["id"], sample["question"], sample["reference"]) == (row["id"], row["question"], row["answer"])
        assert first["said"] == row["prediction"]
        assert first["outcome"] == ("right" if row["prediction"] == "left" else "wrong")
        assert second["said"] == (row["prediction"] if place % 5 else "up")


def test_the_frames_of_a_video_are_there_once(run_folder: Path) -> None:
    data = browse(run_folder).data
    assert len(data["videos"]) == 3
    assert {sample["strip"] for sample in data["samples"]} == set(data["videos"])
    assert all(
        uri.startswith("data:image/jpeg;base64,") for video in data["videos"].values() for _, uri in video["frames"]
    )


def outcomes(found: SampleBrowser) -> Counter[tuple[str, ...]]:
    return Counter(tuple(answer["outcome"] for answer in sample["answers"]) for sample in found.data["samples"])


def test_fewer_samples_have_the_outcomes_in_proportion(run_folder: Path) -> None:
    compared = two_runs(run_folder)
    answers, _ = benchmark_answers(compared)
    every, few = (sample_browser(compared, answers, samples) for samples in (1000, 20))
    assert (few.chosen, few.questions) == (20, 60)
    assert all(abs(outcomes(few)[outcome] - number / 3) <= 1 for outcome, number in outcomes(every).items())


def test_frames_stop_where_the_page_would_be_too_large(run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "STRIP_BYTES", 1000)
    found = browse(run_folder)
    assert found.without_frames == 2
    problems = [video["problem"] for video in found.data["videos"].values() if not video["frames"]]
    assert problems == ["left out, to keep the page small"] * 2


def test_what_did_not_count_says_why(run_folder: Path) -> None:
    log = run_folder / "eval/shapes/predictions.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows[1]["prediction"] = "never judged"
    rows[2] |= {"prediction": None, "skipped": "it ends early"}
    compared = two_runs(run_folder)
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = sample_browser(compared, benchmark_answers(compared)[0], 1000).data["samples"]
    first = [sample["answers"][0] for sample in samples]
    assert (first[1]["outcome"], first[1]["notes"]) == ("unscored", ["the judge failed: not judged"])
    assert (first[2]["outcome"], first[2]["said"], first[2]["notes"]) == ("skipped", None, ["not asked: it ends early"])


def test_another_question_of_the_same_id_is_not_the_same_one(run_folder: Path) -> None:
    compared = two_runs(run_folder)
    log = run_folder.parent / "second/eval/shapes/predictions.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows[0]["question"] = "Something else?"
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    samples = sample_browser(compared, benchmark_answers(compared)[0], 1000).data["samples"]
    assert [sample["answers"][1] is None for sample in samples[:2]] == [True, False]
