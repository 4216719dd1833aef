"""Answers that are there are judged by another judge, and nothing is asked of a model."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from vlmkit.api import JudgeRequest, Unscored, Verdict
from vlmkit.benchmarks.judge_prompts import DEFAULT_PROMPT, find_judge_prompt
from vlmkit.errors import UserError
from vlmkit.evaluation import evaluate_benchmarks, read_result, read_scored
from vlmkit.evaluation.answers import read_answers
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.records import JudgeName, write_result
from vlmkit.judgement import judge as judge_run
from vlmkit.judgement import judging_costs
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit_judges._endpoint import EndpointJudge
from vlmkit_judges.spec import OpenAISpec

OPENAI = {"type": "openai", "model": "m", "api_key_env": None, "input_price": 10, "output_price": 20}
Experiment = Callable[..., ExperimentSpec]


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[JudgeRequest]:
    """What the judge is asked: it says yes, but for answers that begin with "who", on which it fails."""
    asked: list[JudgeRequest] = []

    def judge(_: object, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        for index, request in enumerate(requests):
            asked.append(request)
            failed = request.answer.startswith("who")
            yield index, Unscored("too busy\nwith much") if failed else Verdict(True, 4.0, model="m-1")

    monkeypatch.setattr(EndpointJudge, "judge", judge)
    return asked


@pytest.fixture
def run(experiment: Experiment, tmp_path: Path, oracle: Any) -> RunFolder:
    """A run with a result on `tiny`, of which all answers are wrong, and with a control."""
    spec = experiment(controls=["other-video"])
    run = RunFolder.open(spec, tmp_path)
    evaluate_benchmarks(spec, run, generate=oracle)
    return run


def test_another_judge_takes_the_place_of_the_one_before(run: RunFolder, asked: list[JudgeRequest]) -> None:
    file = run.evaluation("tiny") / "result.json"
    first = read_result(file)
    judgement = judge_run(run.path, OPENAI)
    [(name, before, after)] = judgement.evaluations
    assert (name, before, after) == ("tiny", first, read_result(file))
    assert (first.metrics["accuracy"].value, after.metrics["accuracy"].value) == (0, 1)
    assert (after.n, after.unscored, after.unscored_reasons) == (8, 4, {"too busy": 4})
    assert after.controls["other-video"].unscored == 4
    assert after.judge is not None
    assert after.judge.name == "openai"
    assert {key for key in after.components if key.startswith("judge/")} == {"judge/openai"}
    assert (after.asked, after.spec_sha256) == (first.asked, first.spec_sha256)
    assert len(asked) == 24, "questions and those of the control in one go"
    assert run.report.is_file()
    assert {row.is_right for row in read_scored(run.evaluation("tiny"))} == {True, None}


def test_what_was_judged_is_not_asked_again(run: RunFolder, asked: list[JudgeRequest]) -> None:
    judge_run(run.path, OPENAI)
    asked.clear()
    judge_run(run.path, OPENAI)
    assert {request.answer[:3] for request in asked} == {"who"}, "those that it failed on"
    asked.clear()
    [(_, before, after)] = judge_run(run.path, benchmarks=["tiny"]).evaluations
    assert (before.judge, after.judge) != (after.judge, before.judge), "the spec's judge again"
    assert (after.metrics["accuracy"].value, after.unscored, asked) == (0, 0, [])
    with closing(sqlite3.connect(run.evaluation("tiny") / "verdicts.sqlite")) as store:
        assert {row[0] for row in store.execute("SELECT judge FROM verdicts")} == {"exact", "openai"}


def test_an_evaluation_after_it_asks_nothing(run: RunFolder, experiment: Experiment, oracle: Any) -> None:
    judge_run(run.path, OPENAI)
    batches = len(oracle.batches)
    spec = experiment(controls=["other-video"])
    assert evaluate_benchmarks(spec, run, generate=oracle)["tiny"].metrics["accuracy"].value == 0
    assert len(oracle.batches) == batches


def test_too_many_without_a_verdict_fail(run: RunFolder, experiment: Experiment) -> None:
    judgement = judge_run(run.path, OPENAI)
    told = r"tiny: 4 of 12 answers have no verdict of judge openai .* = 0\.02 allows \(4 times: too busy\)"
    with pytest.raises(UserError, match=rf"{told}.*\ntiny, other-video: 4 of 12"):
        judgement.check()
    RunFolder.open(experiment(controls=["other-video"], max_unscored_fraction=0.34), run.path.parent)
    judge_run(run.path, OPENAI).check()


def test_a_trial_on_some_answers_leaves_the_result(run: RunFolder, asked: list[JudgeRequest]) -> None:
    first = (run.evaluation("tiny") / "result.json").read_bytes()
    [(_, before, after)] = judge_run(run.path, OPENAI, limit=3).evaluations
    assert (before.n, before.metrics["accuracy"].value) == (3, 0)
    assert (after.n, after.metrics["accuracy"].value) == (3, 1)
    assert len(asked) == 6, "three, and three of the control"
    assert (run.evaluation("tiny") / "result.json").read_bytes() == first


def test_the_cost_is_known_before(
    run: RunFolder, asked: list[JudgeRequest], capsys: pytest.CaptureFixture[str]
) -> None:
    told = judging_costs(run.path, OPENAI)["tiny"]
    assert told.startswith("24 answers to judge, 24 of them new; judge openai: 24 new requests, about ")
    assert asked == []
    assert judging_costs(run.path)["tiny"] == "24 answers to judge, 0 of them new"
    judge_run(run.path, OPENAI)
    assert "judge openai: 24 new requests, about " in capsys.readouterr().err
    assert "16 of them new" not in judging_costs(run.path, OPENAI)["tiny"]
    assert "8 of them new; judge openai: 8 new requests" in judging_costs(run.path, OPENAI)["tiny"]


@pytest.fixture
def imported(run: RunFolder, tmp_path: Path) -> Path:
    """The same answers as made elsewhere, four of them with the verdict of somebody's judge."""
    folder = tmp_path / "theirs" / "eval" / "tiny"
    folder.mkdir(parents=True)
    shutil.copy(run.evaluation("tiny") / "predictions.jsonl", folder)
    prompt = find_judge_prompt(DEFAULT_PROMPT)
    requests = [
        JudgeRequest(one.question, (one.answer,), one.prediction or "", prompt=prompt)
        for one in list(read_answers(folder / "predictions.jsonl").values())[:4]
    ]
    judge = EndpointJudge(OpenAISpec(model="gpt", api_key_env=None), "")
    with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
        store.judge_all("gpt", judge, requests, "stored")
    name = JudgeName(name="gpt", version="stored", prompts=[f"{prompt.name}@{prompt.version}"])
    result = read_result(run.evaluation("tiny") / "result.json")
    write_result(folder / "result.json", result.model_copy(update={"judge": name, "controls": {}, "files": {}}))
    return folder.parents[1]


def test_answers_made_elsewhere_keep_the_verdicts_that_came_along(imported: Path) -> None:
    [(_, _, first)] = judge_run(imported).evaluations
    assert (first.n, first.unscored, first.unscored_reasons) == (4, 8, {"not judged": 8})
    assert str(first.judge) == "gpt stored"
    [(_, before, after)] = judge_run(imported, "exact").evaluations
    assert before == first
    assert (after.n, after.metrics["accuracy"].value) == (12, 0)
    [(_, _, again)] = judge_run(imported, "gpt").evaluations
    assert (again.judge, again.metrics) == (first.judge, first.metrics)


def test_mistakes_are_told(run: RunFolder, tmp_path: Path) -> None:
    def told(message: str, folder: Path = run.path, **options: Any) -> None:
        with pytest.raises(UserError, match=message):
            judge_run(folder, **options)

    told("there are no answers to 'tine' in it; did you mean 'tiny'", benchmarks=["tine"])
    told("no installed plugin offers judge 'exakt'", judge="exakt")
    told("expected a run folder; there is no such folder", tmp_path / "nowhere")
    (tmp_path / "bare").mkdir()
    told("it holds no answers; `vlmkit eval` or", tmp_path / "bare")
    (run.evaluation("tiny") / "result.json").unlink()
    told("there is no result of tiny in this run yet; run `vlmkit eval` first")


def test_where_rules_alone_decide_there_is_nothing_to_judge(run: RunFolder, tiny: Any) -> None:
    tiny.write(evaluator={"type": "number"}, metrics=["accuracy"])
    with pytest.raises(UserError, match="answers to tiny are read by rules alone; there is nothing to judge"):
        judge_run(run.path)
