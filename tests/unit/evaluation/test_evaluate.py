"""When a result is kept, and when questions are asked again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest

import vlmkit
from vlmkit import hookimpl
from vlmkit.api import Judge, JudgeRequest, JudgeSpec, PluginError, Prompt, Unscored, Verdict
from vlmkit.errors import RunError
from vlmkit.evaluation import BenchmarkResult, evaluate, evaluate_benchmarks, read_scored
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit_judges._module import ExactJudge
from vlmkit_videoqa._module import OpenEndedQa

Experiment = Callable[..., ExperimentSpec]
Measure = Callable[[ExperimentSpec], BenchmarkResult]


@pytest.fixture
def measured(tmp_path: Path, oracle: Any) -> Measure:
    """The result of a spec's benchmark, with the oracle in the model's place."""
    return lambda spec: evaluate_benchmarks(spec, RunFolder.open(spec, tmp_path), generate=oracle)["tiny"]


def test_a_finished_result_is_kept(
    experiment: Experiment, measured: Measure, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = measured(experiment())
    monkeypatch.setattr(evaluate, "_measure", lambda *_: pytest.fail("measured again"))
    assert measured(experiment()) == first
    assert len(oracle.batches) == 3


def test_changed_annotations_are_asked(
    experiment: Experiment, measured: Measure, tiny: SimpleNamespace, tmp_path: Path, oracle: Any
) -> None:
    use = {"annotation_root": None, "annotations": [{"path": str(tiny.annotations)}]}
    every = json.loads(tiny.annotations.read_text())
    tiny.annotations.write_text(json.dumps(every[:5]))
    assert measured(experiment(use)).n == 5
    tiny.annotations.write_text(json.dumps(every[:7]))
    result = measured(experiment(use))
    assert result.n == 7
    assert [len(batch) for batch in oracle.batches] == [5, 2], "only what is new"
    assert len(read_scored(tmp_path / "measured/eval/tiny")) == 7
    every[0]["answer"] = "another"
    tiny.annotations.write_text(json.dumps(every[:7]))
    assert measured(experiment(use)).annotations != result.annotations
    assert len(oracle.batches) == 2, "the questions are the same"
    assert read_scored(tmp_path / "measured/eval/tiny")[0].document.answer == "another"


def test_answers_beyond_a_limit_are_kept_for_later(
    experiment: Experiment, measured: Measure, oracle: Any, tmp_path: Path
) -> None:
    whole = measured(experiment())
    for limit in (5, 2):
        assert measured(experiment({"limit": limit})).n == limit
        assert len(read_scored(tmp_path / "measured/eval/tiny")) == limit
    assert measured(experiment()).metrics == whole.metrics
    assert len(oracle.batches) == 3


def test_a_video_that_was_missing_is_asked_about(
    experiment: Experiment, measured: Measure, clips: Path, tmp_path: Path
) -> None:
    spec = experiment(data={"max_bad_fraction": 0.5})
    (clips / "bob.mp4").rename(tmp_path / "bob.mp4")
    assert (measured(spec).n, measured(spec).skipped) == (9, 3)
    (tmp_path / "bob.mp4").rename(clips / "bob.mp4")
    assert (measured(spec).n, measured(spec).skipped) == (12, 0)


@pytest.mark.parametrize("text", ['{"n": 12', "[]", "{}", '{"judge": {}}'])
def test_a_damaged_result_is_a_clear_error(
    experiment: Experiment, measured: Measure, tmp_path: Path, oracle: Any, text: str
) -> None:
    first = measured(experiment())
    file = tmp_path / "measured/eval/tiny/result.json"
    file.write_text(text)
    for reading in (lambda: measured(experiment()), lambda: read_scored(tmp_path / "measured/eval/tiny")):
        with pytest.raises(RunError, match=r"tiny/result\.json.*: expected .*; remove the file and run `vlmkit eval`"):
            reading()
    file.unlink()
    assert measured(experiment()).data() | {"seconds": 0} == first.data() | {"seconds": 0}
    assert len(oracle.batches) == 3


def test_junk_in_the_place_of_a_folder_is_a_clear_error(
    experiment: Experiment, measured: Measure, tmp_path: Path
) -> None:
    RunFolder.open(experiment(), tmp_path)
    (tmp_path / "measured/eval").write_text("")
    with pytest.raises(RunError, match=r"measured/eval: expected a folder, found a file"):
        measured(experiment())


def _weights(folder: Path, content: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(content)


def test_another_model_is_asked_again(experiment: Experiment, measured: Measure, tmp_path: Path, oracle: Any) -> None:
    model = RunFolder.open(experiment(), tmp_path).model
    for content, asked in ((b"one", 3), (b"one", 3), (b"two", 6)):
        _weights(model, content)
        measured(experiment())
        assert len(oracle.batches) == asked


def test_a_new_version_of_the_judge_judges_again_and_asks_nothing(
    experiment: Experiment, measured: Measure, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert measured(experiment()).metrics["accuracy"].value == 0
    monkeypatch.setattr(ExactJudge, "version", "new")
    monkeypatch.setattr(ExactJudge, "judge_one", lambda *_: Verdict(correct=True, score=5.0))
    result = measured(experiment())
    assert (result.judge.version, result.metrics["accuracy"].value) == (
        f"new (vlmkit {vlmkit.__version__})",
        1,
    )
    assert len(oracle.batches) == 3


@pytest.mark.parametrize("control", [False, True])
def test_what_the_judge_failed_on_is_judged_again(
    experiment: Experiment, measured: Measure, oracle: Any, monkeypatch: pytest.MonkeyPatch, control: bool
) -> None:
    """Also where only answers of a control have no verdict."""
    controls = ["other-video"] if control else []
    if control:
        measured(experiment())
    with monkeypatch.context() as failing:
        failing.setattr(ExactJudge, "judge_one", lambda *_: Unscored("no answer"))
        failed = measured(experiment(controls=controls))
    asked = len(oracle.batches)
    judged = measured(experiment(controls=controls))
    if control:
        assert failed.unscored == 0
        failed, judged = failed.controls["other-video"], judged.controls["other-video"]
    assert (failed.unscored, judged.unscored) == (12, 0)
    assert len(oracle.batches) == asked


def test_another_prompt_is_asked_again(
    experiment: Experiment, measured: Measure, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured(experiment())
    monkeypatch.setattr(OpenEndedQa, "prompt", lambda self, document: Prompt(f"<video>\nSay {document.question}"))
    measured(experiment())
    assert len(oracle.batches) == 6
    assert "Say" in oracle.batches[-1][0]


def test_another_video_in_place_of_one_is_asked_about(
    experiment: Experiment, measured: Measure, oracle: Any, clips: Path
) -> None:
    measured(experiment())
    with (clips / "bob.mp4").open("ab") as file:
        file.write(b"\0" * 8)
    measured(experiment())
    assert [len(batch) for batch in oracle.batches[3:]] == [3], "those about bob"


def test_no_answer_depends_on_the_size_of_batches(experiment: Experiment, measured: Measure, oracle: Any) -> None:
    first = measured(experiment())
    result = measured(experiment(batch_size=12))
    assert result.decoding is not None
    assert result.decoding.batch_size == 12
    assert result.asked == first.asked
    assert len(oracle.batches) == 3


def _now_of(monkeypatch: pytest.MonkeyPatch, component: str, version: str) -> None:
    """The component's package is of another version from here on."""
    kind, name = component.split("/")
    monkeypatch.setattr(registry().get(kind, name).plugin, "version", version)


@pytest.mark.parametrize(
    ("component", "asked", "judged"),
    [
        ("aligner/stab", 6, 0),
        ("downsampler/lsd", 6, 0),
        ("reader/decord", 6, 0),
        ("judge/exact", 3, 12),
        ("evaluator/open-ended-qa", 3, 0),
    ],
)
def test_another_version_of_a_package_is_another_result(
    experiment: Experiment,
    measured: Measure,
    oracle: Any,
    monkeypatch: pytest.MonkeyPatch,
    component: str,
    asked: int,
    judged: int,
) -> None:
    first = measured(experiment())
    said: list[str] = []
    judge = ExactJudge.judge_one
    monkeypatch.setattr(ExactJudge, "judge_one", lambda self, asked: said.append(asked.question) or judge(self, asked))
    _now_of(monkeypatch, component, "9.9")
    result = measured(experiment())
    assert (len(oracle.batches), len(said)) == (asked, judged)
    assert result.components == first.components | {
        key: "vlmkit 9.9" for key in first.components if registry().get(*key.split("/")).plugin.version == "9.9"
    }
    assert result.components[component] == "vlmkit 9.9"
    assert result.metrics == first.metrics
    assert measured(experiment()) == result
    assert len(oracle.batches) == asked


class _Listener:
    """An observer that cannot be reached until it can."""

    reachable = False

    def __init__(self) -> None:
        self.heard: list[Any] = []

    @hookimpl
    def vlmkit_evaluated(self, benchmark: str, result: Any) -> None:
        if not self.reachable:
            raise ConnectionError("no server")
        self.heard.append((benchmark, result["n"]))
        result.clear()


def test_an_observer_that_failed_hears_of_the_result_next_time(
    experiment: Experiment,
    measured: Measure,
    oracle: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken, sound = _Listener(), _Listener()
    sound.reachable = True
    for name, listener in (("broken", broken), ("sound", sound)):
        registry().manager.register(listener, name=name)
    try:
        first = measured(experiment())
        assert "vlmkit_evaluated raised ConnectionError: no server" in capsys.readouterr().err
        broken.reachable = True
        assert measured(experiment()) == measured(experiment()) == first
    finally:
        for listener in (broken, sound):
            registry().manager.unregister(listener)
    assert broken.heard == sound.heard == [("tiny", 12)]
    assert len(oracle.batches) == 3


class _Grumpy(JudgeSpec):
    """Raises at every second question."""

    type: Literal["exact"] = "exact"

    def build(self) -> Judge:
        return _GrumpyJudge()


class _GrumpyJudge(Judge):
    version = "1"
    asked = 0

    def judge_one(self, request: JudgeRequest) -> Verdict:
        self.asked += 1
        if self.asked % 2:
            raise TimeoutError("no answer within 30 s")
        return Verdict(True, 100 if self.asked == 2 else 5)


def test_a_judge_that_raises_or_talks_nonsense_leaves_questions_unscored(
    experiment: Experiment, measured: Measure, tmp_path: Path
) -> None:
    result = measured(experiment(judge=_Grumpy()))
    assert (result.n, result.unscored, result.metrics["accuracy"].value) == (5, 7, 1.0)
    reasons = [
        row.verdict.reason if isinstance(row.verdict, Unscored) else ""
        for row in read_scored(tmp_path / "measured/eval/tiny")
    ]
    assert sum("judge 'exact' (" in reason and "TimeoutError: no answer" in reason for reason in reasons) == 6
    assert sum("the score 100, expected a number from 0 to 5" in reason for reason in reasons) == 1


@pytest.mark.parametrize(
    ("member", "changed", "said"),
    [
        (
            "score",
            lambda self, document, reading, verdict: {"accuracy": 7.0, "score": 0.0},
            "'accuracy' 7.0, expected a number",
        ),
        ("prompt", lambda self, document: {}[document.id], "prompt raised KeyError"),
        ("metrics", lambda self: {"accuracy": (0.0, 1.0), "score": 5}, "gives 5 for 'score', expected a range"),
    ],
)
def test_an_evaluator_at_fault_is_named(
    experiment: Experiment,
    measured: Measure,
    monkeypatch: pytest.MonkeyPatch,
    member: str,
    changed: Callable[..., Any],
    said: str,
) -> None:
    changed_class = type("Changed", (OpenEndedQa,), {member: changed})
    monkeypatch.setattr("vlmkit_videoqa._module.OpenEndedQa", changed_class)
    with pytest.raises(PluginError, match=rf"^evaluator 'open-ended-qa' \(vlmkit .*: .*({said})"):
        measured(experiment())
