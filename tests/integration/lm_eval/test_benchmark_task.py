"""What a protocol says of frames, lengths, aggregates and pairs of questions holds through lm-eval's door too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest

from vlmkit.api import Verdict
from vlmkit.evaluation import BenchmarkResult, evaluate_benchmarks, read_scored
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

ENTRY = """
title: pairs
paper: none
license: CC0
version: "1"
default_split: test
splits: {test: {files: [{name: questions.json, source: written for this test}]}}
annotations:
  {id: "{id}", question: "{question}", answer: "{answer}", video: "{video}", task: "{task}", group: "{group}",
   companion: "{companion}", span: ["{start}", "{end}"]}
video: {file: "{video}"}
evaluator: {type: open-ended-qa, prompt: "<video>\\n{question}"}
generation: {max_new_tokens: 5}
metrics: [accuracy]
cluster: group
frames: {type: uniform}
aggregate: AGGREGATE
protocols: {authors: {version: "1", source: mine, tasks: {long: {generation: {max_new_tokens: 9}}}}}
"""


@pytest.fixture
def entry(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A benchmark of 19 questions: pairs in three tasks of different size, the last two judged together."""
    monkeypatch.setenv("VLMKIT_BENCHMARKS_PATH", str(tmp_path / "entries"))
    folder = tmp_path / "entries" / "pairs"
    folder.mkdir(parents=True)
    (folder / "README.md").touch()
    names = sorted(file.name for file in drawn.glob("*.mp4"))
    tasks = ["long"] * 3 + ["short"] * 10 + ["other"] * 6
    rows = [
        {"id": f"q{n}", "video": names[n // 2 % len(names)], "question": f"which {n} is it?", "answer": "left",
         "task": task, "group": f"{task}-{n // 2}", "companion": "", "start": 0, "end": [0.4, 1][n % 2]}
        for n, task in enumerate(tasks)
    ]  # fmt: skip
    rows[-2]["companion"] = rows[-1]["id"]
    (folder / "questions.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(autouse=True)
def lengths(monkeypatch: pytest.MonkeyPatch) -> None:
    """A judge that looks at the lengths of the answers: at those of both, where two are judged together."""
    judge: Any = type(registry().get("judge", "exact").spec().build())

    def odd(self: Any, asked: Any) -> Verdict:
        return Verdict((len(asked.answer) + 2 * len(asked.other_answer)) % 3 > 0, None)

    monkeypatch.setattr(judge, "judge_one", odd)


def _by_vlmkit(saved: Any, clips: Any, drawn: Path, folder: Path, use: dict[str, Any]) -> tuple[BenchmarkResult, Any]:
    options = {"batch_size": 5, "benchmarks": [{**use, "name": "pairs", "video_root": str(drawn)}]}
    whole = clips.spec().model_dump(mode="json") | {"evaluation": options}
    run = RunFolder.open(ExperimentSpec.model_validate(whole), folder / "runs")
    run.model.symlink_to(saved.model)
    [result] = evaluate_benchmarks(ExperimentSpec.model_validate(whole), run).values()
    return result, {one.answer.id: one for one in read_scored(run.evaluation("pairs"))}


def _by_lm_eval(saved: Any, drawn: Path, limit: int | None = None) -> dict[str, Any]:
    options: dict[str, Any] = {"metadata": {"pairs": {"video_root": str(drawn)}}, "limit": limit, "device": "cpu"}
    args = {"model": "vlmkit", "model_args": {"path": str(saved.model)}, "tasks": ["pairs"], "batch_size": 5}
    found: dict[str, Any] = lm_eval.simple_evaluate(**args, **options, bootstrap_iters=0)
    return found


@pytest.mark.parametrize(
    "aggregate", ["{}", "{over: task}", "{all_right: true}", "{all_right: true, over: task}"], ids=lambda text: text
)
@pytest.mark.parametrize("limit", [None, 18])
def test_answers_and_aggregates_are_those_of_vlmkit_eval(
    saved: Any, clips: Any, drawn: Path, entry: Path, aggregate: str, limit: int | None
) -> None:
    (entry / "benchmark.yaml").write_text(ENTRY.replace("AGGREGATE", aggregate))
    result, expected = _by_vlmkit(saved, clips, drawn, entry.parent, {"limit": limit})
    found = _by_lm_eval(saved, drawn, limit)
    samples = {sample["doc"]["id"]: sample for sample in found["samples"]["pairs"]}
    assert {key: samples[key]["resps"][0][0] for key in expected} == {
        key: one.answer.prediction for key, one in expected.items()
    }
    assert {key: samples[key].get("accuracy") for key in expected} == {
        key: one.values.get("accuracy") for key, one in expected.items()
    }
    assert 0 < result.metrics["accuracy"].value < 1
    assert found["results"]["pairs"]["accuracy,none"] == pytest.approx(result.metrics["accuracy"].value, abs=1e-12)
    assert found["n-samples"]["pairs"]["effective"] == result.n == {None: 18, 18: 17}[limit]
    json.dumps(found["samples"]["pairs"])


def test_lengths_frames_and_parts_are_the_protocols(saved: Any, drawn: Path, entry: Path) -> None:
    (entry / "benchmark.yaml").write_text(ENTRY.replace("AGGREGATE", "{}"))
    arguments = [sample["arguments"][0] for sample in _by_lm_eval(saved, drawn, 5)["samples"]["pairs"]]
    assert [generation["max_gen_toks"] for _, generation, _ in arguments] == [9, 9, 9, 5, 5]
    assert [shown["span"] for _, _, shown in arguments] == [(0, 0.4), (0, 1), (0, 0.4), (0, 1), (0, 0.4)]
    assert all(shown["sampling"] == {"type": "uniform"} for _, _, shown in arguments)


def test_errors_are_better_where_they_are_lower(saved: Any, drawn: Path, entry: Path) -> None:
    text = ENTRY.replace("AGGREGATE", "{}").replace("metrics: [accuracy]", "metrics: [accuracy, squared_error]")
    number = text.replace("type: open-ended-qa,", "type: number,").replace('"{answer}"', '"3"')
    (entry / "benchmark.yaml").write_text(number)
    assert _by_lm_eval(saved, drawn, 2)["higher_is_better"]["pairs"] == {"accuracy": True, "squared_error": False}
