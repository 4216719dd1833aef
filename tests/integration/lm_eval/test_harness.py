"""lm-eval runs the registry's benchmarks and its own text tasks on a saved model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import lm_eval
import pytest

import vlmkit_lm_eval
from vlmkit.api import Unscored, UserError
from vlmkit.evaluation import benchmark_folders, evaluate_benchmarks, read_scored
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder


def _simple(folder: Path, name: str = "msvd-qa", **options: Any) -> dict[str, Any]:
    args = {"model": "vlmkit", "model_args": {"path": str(folder)}, "tasks": [name], "device": "cpu"}
    return lm_eval.simple_evaluate(**args | {"batch_size": 5, "bootstrap_iters": 0} | options)


def test_answers_and_accuracy_are_those_of_vlmkit_eval(saved: Any, clips: Any, tmp_path: Path) -> None:
    spec = clips.spec(batch_size=5, max_new_tokens=4)
    run = RunFolder.open(spec, tmp_path)
    run.model.symlink_to(saved.model)
    evaluate_benchmarks(spec, run)
    said = [scored.answer.prediction for scored in read_scored(run.evaluation("msvd-qa"))]
    rows = [{**row, "answer": other if place % 3 else "no"} for place, (row, other) in enumerate(
        zip(json.loads(clips.annotations.read_text()), said, strict=True))]  # fmt: skip
    clips.annotations.write_text(json.dumps(rows))
    expected = evaluate_benchmarks(spec, run)["msvd-qa"].metrics
    predictions = {row.answer.id: row.answer.prediction for row in read_scored(run.evaluation("msvd-qa"))}
    assert len(set(predictions.values())) > 2
    assert 0.5 < expected["accuracy"].value < 1

    found = _simple(saved.model, metadata={"msvd-qa": clips.options}, gen_kwargs={"max_gen_toks": 4})
    assert {s["doc"]["id"]: s["resps"][0][0] for s in found["samples"]["msvd-qa"]} == predictions
    for name, metric in expected.items():
        assert found["results"]["msvd-qa"][f"{name},none"] == pytest.approx(metric.value, abs=1e-12)
    assert found["n-samples"]["msvd-qa"] == {"original": 12, "effective": 12}
    assert found["versions"]["msvd-qa"] == "1"


def test_text_tasks_have_the_values_of_lm_evals_own_type(saved: Any, tasks: Path) -> None:
    found = {}
    for name, args in {"vlmkit": {"path": str(saved.model)}, "hf": {"pretrained": str(saved.language)}}.items():
        manager = lm_eval.tasks.TaskManager(include_path=str(tasks))
        names = ["tiny-choice", "tiny-rolling", "tiny-generate"]
        results = _simple(saved.model, model=name, model_args=args, tasks=names, task_manager=manager, batch_size=3)
        found[name] = {task: [s["resps"] for s in samples] for task, samples in results["samples"].items()}
    ours, theirs = found["vlmkit"], found["hf"]
    for own, other in zip(ours["tiny-choice"], theirs["tiny-choice"], strict=True):
        assert [pair for [pair] in own] == [(pytest.approx(value, abs=1e-4), greedy) for [(value, greedy)] in other]
    values = [[value for [[value]] in results["tiny-rolling"]] for results in (ours, theirs)]
    assert values[0] == pytest.approx(values[1], abs=1e-4)
    assert min(values[0]) < -100, "longer than the model's window"
    assert ours["tiny-generate"] == theirs["tiny-generate"]
    assert any(text for [[text]] in ours["tiny-generate"])


def test_every_benchmark_is_a_task() -> None:
    vlmkit_lm_eval.register()  # a second time
    assert set(benchmark_folders()) <= set(lm_eval.tasks.TaskManager().all_subtasks)


def test_a_task_of_that_name_keeps_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "own.yaml").write_text("task: msvd-qa\ndataset_path: json\n")
    with caplog.at_level("WARNING", "lm_eval"):
        manager = lm_eval.tasks.TaskManager(include_path=str(tmp_path))
    assert manager.task_index["msvd-qa"].yaml_path == tmp_path / "own.yaml"
    assert "hides vlmkit's benchmark" in caplog.text


def test_answers_end_where_a_user_says(saved: Any, clips: Any) -> None:
    options = {"metadata": {"msvd-qa": clips.options}, "limit": 3}
    [whole, cut] = (
        [s["resps"][0][0] for s in _simple(saved.model, gen_kwargs=kwargs, **options)["samples"]["msvd-qa"]]
        for kwargs in ({"max_gen_toks": 5}, {"max_gen_toks": 5, "until": ["a", "e", "i", "o", "u"]})
    )
    assert len(whole) == 3
    assert whole != cut
    assert all(text.startswith(start) for text, start in zip(whole, cut, strict=True))


def test_answers_are_kept_between_calls(saved: Any, clips: Any, tmp_path: Path, monkeypatch: Any) -> None:
    options = {"metadata": {"msvd-qa": clips.options}, "use_cache": str(tmp_path / "answers")}
    first = _simple(saved.model, **options)
    monkeypatch.setattr("vlmkit_lm_eval.harness_model.ask", None)
    assert _simple(saved.model, **options)["results"] == first["results"]


def test_a_judge_that_fails_leaves_the_question_out(saved: Any, clips: Any, monkeypatch: Any) -> None:
    judge: Any = type(registry().get("judge", "exact").spec().build())
    usual = judge.judge_one
    monkeypatch.setattr(
        judge, "judge_one", lambda self, asked: Unscored("?") if asked.references == ("how",) else usual(self, asked)
    )
    found = _simple(saved.model, metadata={"msvd-qa": clips.options})
    assert found["n-samples"]["msvd-qa"] == {"original": 12, "effective": 9}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": "auto"}, "batch_size=auto: questions about videos are asked in batches of a stated size"),
        ({"batch_size": 0}, "--batch_size: expected a whole number from 1 on"),
        ({"gen_kwargs": {"do_sample": True, "temperature": 0.7}}, "answers about videos are greedy"),
        ({"system_instruction": "Be brief."}, "--system_instruction cannot be set"),
        ({"device": "abacus"}, "--device: expected cpu, cuda or cuda:N, found 'abacus'"),
        ({"model_args": {}}, "expected path=FOLDER"),
        ({"model_args": {"path": "/no/such/folder"}}, "/no/such/folder: expected the folder of a saved model"),
        ({"model_args": {"path": "x", "max_lenth": 3}}, "has no option 'max_lenth'; did you mean 'max_length'"),
        ({"model_args": {"path": "x", "parallelize": True}}, "has no option 'parallelize'"),
    ],
)
def test_what_has_no_meaning_is_refused(saved: Any, clips: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _simple(saved.model, metadata={"msvd-qa": clips.options}, **options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (3, "--metadata: expected the options of msvd-qa as a mapping, found 3"),
        ({"splitt": "test"}, "--metadata, options of msvd-qa: splitt: "),
        ({"split": "tset"}, "msvd-qa: there is no split 'tset'"),
        ({"judge": "gpt"}, "--metadata, options of msvd-qa: .*no installed plugin offers judge 'gpt'"),
        (
            {"video_root": "/no/such/folder"},
            r"no folder of videos /no/such/folder .* from --metadata '{\"msvd-qa\": {…}}'",
        ),
    ],
)
def test_options_of_a_benchmark_are_checked(saved: Any, clips: Any, changed: Any, message: str) -> None:
    options = clips.options | changed if isinstance(changed, dict) else changed
    with pytest.raises(UserError, match=message):
        _simple(saved.model, metadata={"msvd-qa": options})


def test_a_video_that_is_missing_or_damaged_ends_it(saved: Any, clips: Any, tmp_path: Path) -> None:
    first, second, *_ = json.loads(clips.annotations.read_text())
    videos = tmp_path / "videos"
    videos.mkdir()
    (videos / first["video"]).write_bytes((clips.videos / first["video"]).read_bytes())
    options = {"metadata": {"msvd-qa": clips._replace(videos=videos).options}}
    with pytest.raises(UserError, match=f"question what-1: no file {second['video']} .* cannot leave questions out"):
        _simple(saved.model, **options)
    assert _simple(saved.model, limit=1, **options)["n-samples"]["msvd-qa"]["effective"] == 1
    (videos / second["video"]).write_bytes(b"no video")
    with pytest.raises(UserError, match=second["video"]):
        _simple(saved.model, limit=2, **options)


def test_tasks_that_show_pictures_are_refused(saved: Any) -> None:
    from lm_eval.api.instance import Instance
    from lm_eval.api.registry import get_model

    model = get_model("vlmkit")(path=str(saved.model), device="cpu")
    picture = Instance("generate_until", {}, ("<image>", {"until": []}, {"visual": [object()]}), 0, ("mmmu", 0, 1))
    with pytest.raises(UserError, match="mmmu: expected one video file per question"):
        model.generate_until([picture])
