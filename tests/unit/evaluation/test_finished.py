"""Answers that are there already, found by run, folder or file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vlmkit.errors import DataError, RunError, UserError
from vlmkit.evaluation.finished import FinishedEvaluation, choose_judges, find_finished
from vlmkit.evaluation.records import JudgeName

SAID = {"a1": "B", "b1": "A"}


@pytest.fixture
def run(finished_runs: Any) -> Path:
    folder: Path = finished_runs.add("mine", "colors", SAID)
    return folder


def find(place: Path, finished_runs: Any, benchmark: str | None = None) -> FinishedEvaluation:
    return find_finished(place, benchmark, [str(finished_runs.entries)])


def test_a_run_its_folder_and_its_files_are_the_same(run: Path, finished_runs: Any) -> None:
    folder = run / "eval" / "colors"
    for place in (run, folder, folder / "predictions.jsonl", folder / "result.json"):
        found = find(place, finished_runs)
        assert (found.folder, found.benchmark.name, [one.id for one in found.answers]) == (folder, "colors", [*SAID])
        assert found.result is not None
        assert found.result.protocol == found.rules().protocol.label == "authors@1"


def test_the_answers_with_a_control(run: Path, finished_runs: Any) -> None:
    folder = run / "eval" / "colors"
    control = folder / "no-video_predictions.jsonl"
    control.write_text((folder / "predictions.jsonl").read_text().splitlines(keepends=True)[0])
    found = find(control, finished_runs)
    assert (len(found.answers), found.result is not None) == (1, True)


def test_one_of_several_results(run: Path, finished_runs: Any) -> None:
    finished_runs.add("mine", "words", {"a1": "green"})
    with pytest.raises(RunError, match="answers to several benchmarks; choose with --benchmark: colors, words"):
        find(run, finished_runs)
    assert find(run, finished_runs, "words").benchmark.name == "words"
    with pytest.raises(DataError, match="expected answers to words, found answers to colors"):
        find(run / "eval" / "colors", finished_runs, "words")


def test_the_folders_of_entries_that_the_spec_names(run: Path, finished_runs: Any, tmp_path: Path) -> None:
    spec = run / "spec.yaml"
    spec.write_text(
        json.dumps({"evaluation": {"benchmarks_path": [str(finished_runs.entries), str(tmp_path / "gone")]}})
    )
    assert find_finished(run).benchmark.folder == finished_runs.entries / "colors"
    for malformed in ("- a list", "evaluation: [", "evaluation: 3"):
        spec.write_text(malformed)
        assert find(run, finished_runs).benchmark.name == "colors"
        with pytest.raises(DataError, match="there is no benchmark 'colors'"):
            find_finished(run)


def test_what_is_no_answer_is_refused(tmp_path: Path, finished_runs: Any) -> None:
    with pytest.raises(RunError, match="there is none"):
        find(tmp_path / "nowhere", finished_runs)
    with pytest.raises(RunError, match="it holds no answers; `vlmkit eval` or `vlmkit answers import` makes some"):
        find(tmp_path, finished_runs)
    for content, said in (
        ('{"doc_id": 1}\n', "`vlmkit answers import` takes the answers of other tools"),
        ("id,answer\na1,B\n", "`vlmkit answers import` takes the answers of other tools"),
        ("", "expected answers, found none"),
    ):
        file = tmp_path / "samples.jsonl"
        file.write_text(content)
        with pytest.raises(UserError, match=said):
            find(file, finished_runs, "colors")


def test_another_version_of_the_protocol_is_refused(finished_runs: Any) -> None:
    run = finished_runs.add("old", "colors", SAID, protocol="authors@0")
    with pytest.raises(DataError, match="the result is of protocol authors@0, this installation has authors@1"):
        find(run, finished_runs).rules()


def test_judges_are_told_by_name_and_version(tmp_path: Path) -> None:
    stored = [
        JudgeName(name="kind", version="1"),
        JudgeName(name="kind", version="2"),
        JudgeName(name="stern", version="1"),
    ]
    assert choose_judges(stored, ["stern", "kind 2"], tmp_path) == [stored[2], stored[1]]
    with pytest.raises(DataError, match="the judge stern 1 is named twice"):
        choose_judges(stored, ["stern", "stern 1"], tmp_path)
    with pytest.raises(DataError, match="found 2; versions of it: kind 1, kind 2; name one"):
        choose_judges(stored, ["kind"], tmp_path)
    with pytest.raises(DataError, match=r"did you mean 'stern'\? there are: kind 1, kind 2, stern 1"):
        choose_judges(stored, ["stren"], tmp_path)
