"""lm-eval's text tasks as benchmarks of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import lm_eval
import pytest

from vlmkit.api import DataError, UserError
from vlmkit.evaluation import BenchmarkResult, evaluate_benchmarks, prepare_benchmarks
from vlmkit.formatting import figures
from vlmkit.json_files import read_json_lines
from vlmkit.run_folder import RunFolder
from vlmkit.runner import Run
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit_lm_eval.text_tasks import TextTasks

GROUP = (
    "group: tiny-group\ntask: [tiny-choice, tiny-short]\naggregate_metric_list: [{metric: acc, weight_by_size: SIZE}]\n"
)
PLAIN = "output_type: generate_until\ndoc_to_text: x\ndoc_to_target: x\nINCLUDED"
MORE = {
    "tiny-group": GROUP.replace("SIZE", "true") + "metadata: {version: 3.0}\n",
    "tiny-macro": GROUP.replace("SIZE", "false").replace("tiny-group", "tiny-macro"),
    "tiny-bare": "group: tiny-bare\ntask: [tiny-choice, tiny-short]\n",
    "tiny-unsafe": f"task: tiny-unsafe\nunsafe_code: true\n{PLAIN}",
    "tiny-broken": "task: tiny-broken\noutput_type: generate_until\ndoc_to_text: '{{question.no.thing}}'\nINCLUDED",
    "tiny-gone": "task: tiny-gone\ndataset_path: nobody/nothing\ntest_split: test\n",
    "tiny-zero": f"task: tiny-zero\nnum_fewshot: 0\n{PLAIN}",
}


@pytest.fixture
def folder(tasks: Path, tmp_path: Path) -> Path:
    """The tasks of `tasks`, a shorter one with a tag, groups of them, and some that cannot be run."""
    text = (tasks / "tiny-choice.yaml").read_text()
    rows = (tasks / "rows.jsonl").read_text().splitlines()
    data = text.partition("output_type")[0].partition("\n")[2]
    for file in tasks.iterdir():
        (tmp_path / file.name).write_text(file.read_text())
    (tmp_path / "short.jsonl").write_text("\n".join(rows[:2]))
    short = text.replace("task: tiny-choice", "task: tiny-short\ntag: [tiny-tag]")
    (tmp_path / "tiny-short.yaml").write_text(short.replace(f"{tasks}/rows", f"{tmp_path}/short"))
    for name, more in MORE.items():
        (tmp_path / f"{name}.yaml").write_text(more.replace("INCLUDED", data))
    return tmp_path


def _spec(clips: Any, *benchmarks: Any, **evaluation: Any) -> ExperimentSpec:
    spec = clips.spec()
    options = {"batch_size": 3, "benchmarks": list(benchmarks), **evaluation}
    return ExperimentSpec.model_validate(spec.model_dump(mode="json") | {"evaluation": options})


def _run(spec: ExperimentSpec, saved: Any, folder: Path) -> RunFolder:
    run = RunFolder.open(spec, folder / "runs")
    if not run.model.exists():
        run.model.symlink_to(saved.model)
    return run


def _measure(saved: Any, clips: Any, folder: Path, name: str, **options: Any) -> BenchmarkResult:
    spec = _spec(clips, {"name": f"lm-eval:{name}", "include_path": str(folder), **options})
    [result] = evaluate_benchmarks(spec, _run(spec, saved, folder)).values()
    return result


def _of_lm_eval(saved: Any, folder: Path, name: str, **options: Any) -> dict[str, Any]:
    manager = lm_eval.tasks.TaskManager(include_path=str(folder))
    args = {"model": "vlmkit", "model_args": {"path": str(saved.model)}, "device": "cpu", "batch_size": 3}
    more = {"task_manager": manager, "bootstrap_iters": 1000, **options}
    found: dict[str, Any] = lm_eval.simple_evaluate(tasks=[name], **args, **more)
    return found


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tiny-choice", {}),
        ("tiny-choice", {"num_fewshot": 3, "limit": 4}),
        ("tiny-choice", {"apply_chat_template": True}),
        ("tiny-rolling", {}),
        ("tiny-generate", {"limit": 3}),
        ("tiny-group", {}),
        ("tiny-macro", {}),
    ],
)
def test_values_are_those_of_lm_evals_command(
    saved: Any, clips: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, options: dict[str, Any]
) -> None:
    monkeypatch.setenv("DISABLE_MULTIPROC", "1")
    result = _measure(saved, clips, folder, name, **options)
    found = _of_lm_eval(saved, folder, name, **options)
    expected = {key: value for key, value in found["results"][name].items() if "," in key and "_stderr" not in key}
    assert {key: metric.value for key, metric in result.metrics.items()} == {
        key.removesuffix(",none"): pytest.approx(value, abs=1e-9) for key, value in expected.items()
    }
    assert result.n == sum(count["effective"] for count in found["n-samples"].values())
    rows = [json.loads(line) for line in (folder / "runs/measured/eval" / f"lm-eval-{name}" / "samples.jsonl").open()]
    samples = [row for task in found["samples"].values() for row in task]
    assert [row["resps"] for row in rows] == json.loads(json.dumps([row["resps"] for row in samples]))
    for metric in result.metrics.values():
        assert metric.ci95[0] <= metric.value <= metric.ci95[1]
        assert metric.ci95[0] < metric.ci95[1]


def test_the_result_says_how_it_came_about(saved: Any, clips: Any, folder: Path) -> None:
    result = _measure(saved, clips, folder, "tiny-group", limit=5)
    assert (result.benchmark, result.version, result.split, result.limit) == ("lm-eval:tiny-group", "3.0", "test", 5)
    assert result.harness is not None
    assert result.harness.version == f"lm_eval {lm_eval.__version__}"
    assert result.harness.settings == {"num_fewshot": 1, "apply_chat_template": False}
    assert {name: part.n for name, part in result.by_type.items()} == {"tiny-choice": 5, "tiny-short": 2}
    assert len(result.model_sha256) == len(result.asked) == 64
    assert {"harness/lm-eval", "backbone/hf-causal-lm"} <= set(result.components)
    [line] = Run(folder, None, {"lm-eval-tiny-group": result}).summary().splitlines()
    assert line.startswith("lm-eval-tiny-group acc 0.")
    assert line.endswith(f"7 documents, by lm_eval {lm_eval.__version__}")


def test_intervals_of_means_and_of_other_statistics(saved: Any, clips: Any, folder: Path) -> None:
    from vlmkit.statistics.intervals import wilson

    shown = _measure(saved, clips, folder, "tiny-choice").metrics["acc"]
    assert shown.ci95 == pytest.approx(wilson(shown.value, 6))
    rows = [json.loads(line) for line in (folder / "runs/measured/eval/lm-eval-tiny-choice/samples.jsonl").open()]
    assert math.fsum(row["acc"] for row in rows) / 6 == shown.value
    perplexity = _measure(saved, clips, folder, "tiny-rolling").metrics["word_perplexity"]
    assert perplexity.ci95[1] - perplexity.value == pytest.approx(perplexity.value - perplexity.ci95[0])


def test_a_finished_one_is_not_run_again_unless_something_changed(
    saved: Any, clips: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    measure = TextTasks.measure

    def counted(self: TextTasks, *args: Any) -> Any:
        calls.append(args[-1])
        return measure(self, *args)

    monkeypatch.setattr(TextTasks, "measure", counted)
    first = _measure(saved, clips, folder, "tiny-choice")
    path = folder / "runs/measured/eval/lm-eval-tiny-choice/result.json"
    assert _measure(saved, clips, folder, "tiny-choice").data() == first.data()
    spec = _spec(clips, {"name": "lm-eval:tiny-choice", "include_path": str(folder)}, max_new_tokens=9)
    [again] = evaluate_benchmarks(spec, _run(spec, saved, folder)).values()
    assert again.data() == first.data() | {"spec_sha256": again.spec_sha256}, "the rest of the spec says nothing of it"
    assert again.spec_sha256 != first.spec_sha256
    assert len(calls) == 1
    assert json.loads(path.read_text())["metrics"] == first.data()["metrics"]

    _measure(saved, clips, folder, "tiny-choice", limit=4)
    _measure(saved, clips, folder, "tiny-choice", limit=4, num_fewshot=0)
    task = folder / "tiny-choice.yaml"
    task.write_text(task.read_text().replace("'{{question}}'", "'Say {{question}}'"))
    _measure(saved, clips, folder, "tiny-choice", limit=4, num_fewshot=0)
    task.write_text(f"{task.read_text()}metric_list: [{{metric: acc_norm}}]\n")
    assert list(_measure(saved, clips, folder, "tiny-choice", limit=4, num_fewshot=0).metrics) == ["acc_norm"]
    monkeypatch.setattr("vlmkit.evaluation.evaluate.model_sha256", lambda *_: "another")
    assert _measure(saved, clips, folder, "tiny-choice", limit=4, num_fewshot=0).model_sha256 == "another"
    assert calls == [None, 4, 4, 4, 4, 4]


def test_beside_a_benchmark_of_the_registry(saved: Any, clips: Any, folder: Path) -> None:
    from vlmkit.report import write_report

    text = {"name": "lm-eval:tiny-choice", "include_path": str(folder), "label": "language"}
    spec = _spec(clips, text, {**clips.options, "name": "msvd-qa"}, max_new_tokens=4)
    run = _run(spec, saved, folder)
    results = evaluate_benchmarks(spec, run)
    assert list(results) == ["language", "msvd-qa"]
    assert len(read_json_lines(run.evaluation("language") / "samples.jsonl", dict[str, Any])) == 6
    page = write_report(run.path).read_text()
    assert "lm-eval:tiny-choice version" in page
    assert f"measured by lm_eval {lm_eval.__version__}" in " ".join(page.split())
    assert f"acc, 95% interval {figures(results['language'].metrics['acc'].ci95, 'acc')}<br>6 documents" in page
    assert page.count("text alone") == 2


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ({"name": "lm-eval:tiny-choise"}, "lm-eval has no task 'tiny-choise'; did you mean 'tiny-choice'"),
        ({"name": "lm-eval:tiny-tag"}, "lm-eval:tiny-tag: this is a tag of 1 tasks, .* tiny-short"),
        ({"name": "lm-eval:tiny-bare"}, "no score of its own; name its tasks: tiny-choice, tiny-short"),
        ({"name": "lm-eval:tiny-unsafe"}, "tiny-unsafe runs code that the model writes"),
        ({"name": "lm-eval:tiny-broken"}, "lm-eval:tiny-broken: lm-eval cannot load it: .*'no'"),
        ({"name": "lm-eval:tiny-gone"}, "cannot load it: .*nobody/nothing.*where there is no network"),
        ({"name": "lm-eval:tiny-zero", "num_fewshot": 2}, "num_fewshot: 2, but the file of tiny-zero says 0"),
        ({"name": "lm-eval:msvd-qa"}, "this is a benchmark of vlmkit's registry; name it msvd-qa"),
        ({"name": "lm-eval:tiny-choice", "include_path": "/no/such"}, "include_path: there is no folder /no/such"),
    ],
)
def test_what_is_missing_is_told_before_a_training(
    clips: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, use: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=message):
        prepare_benchmarks(_spec(clips, {"include_path": str(folder), **use}))


def test_without_lm_eval_a_run_stops_early(clips: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = _spec(clips, "lm-eval:hellaswag")
    monkeypatch.setattr("vlmkit_lm_eval.spec.find_spec", lambda name: None)
    with pytest.raises(UserError, match="lm-eval is not installed; install it"):
        prepare_benchmarks(spec)


def test_a_function_has_no_language_model_to_measure(saved: Any, clips: Any, folder: Path) -> None:
    spec = _spec(clips, {"name": "lm-eval:tiny-choice", "include_path": str(folder)})
    with pytest.raises(DataError, match="a harness needs a model with its processor"):
        evaluate_benchmarks(spec, _run(spec, saved, folder), generate=lambda *_: [])
