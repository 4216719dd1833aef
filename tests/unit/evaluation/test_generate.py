"""A whole evaluation, with a function in the model's place."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

import vlmkit
from vlmkit.api import JudgeRequest, Unscored, Verdict
from vlmkit.data import FittedVideo, VideoLoader
from vlmkit.errors import DataError, RunError, SpecError
from vlmkit.evaluation import BenchmarkResult, evaluate_benchmarks, read_scored
from vlmkit.evaluation.records import Decoding, TypeScores
from vlmkit.registry import registry
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec
from vlmkit.spec.loading import sha256
from vlmkit.statistics.intervals import estimate
from vlmkit_judges._module import ExactJudge

Experiment = Callable[..., ExperimentSpec]
Model = Callable[[Sequence[str], Sequence[FittedVideo], int], Sequence[str]]


def run_it(spec: ExperimentSpec, folder: Path, model: Model) -> BenchmarkResult:
    return evaluate_benchmarks(spec, RunFolder.open(spec, folder), generate=model)["tiny"]


def scores(result: BenchmarkResult) -> dict[str, Any]:
    return {key: value for key, value in result.data().items() if key != "seconds"}


def knows_what(prompts: Sequence[str], videos: Sequence[FittedVideo], max_new_tokens: int) -> list[str]:
    """Right about every "what" question that is asked about ada, else wrong."""
    return ["What of ADA!" if "what" in prompt else "no idea" for prompt in prompts]


def test_result_has_everything(experiment: Experiment, tmp_path: Path) -> None:
    spec = experiment(controls=["other-video"])
    result = run_it(spec, tmp_path, knows_what)
    assert result.model_dump(include={"benchmark", "version", "split", "judge", "limit"}) == {
        "benchmark": "tiny",
        "version": "7",
        "split": "test",
        "judge": {"name": "exact", "version": f"{ExactJudge.version} (vlmkit {vlmkit.__version__})", "prompts": []},
        "limit": None,
    }
    assert (result.n, result.skipped, result.unscored) == (12, 0, 0)
    expected = estimate([1.0] + [0.0] * 11, [index % 4 for index in range(12)])
    assert result.metrics["accuracy"].value == pytest.approx(1 / 12)
    assert result.metrics["accuracy"].ci95 == [expected.low, expected.high]
    assert result.metrics["score"].value == pytest.approx(5 / 12)
    assert list(result.by_type) == ["how", "what", "who"]
    assert result.by_type["what"].n == 4
    assert result.by_type["what"].metrics["accuracy"].value == 0.25
    other = result.controls["other-video"]
    assert other.metrics == result.metrics
    assert other.difference["accuracy"].value == 0
    assert result.spec_sha256 == sha256(spec)
    assert result.plugins == {plugin.name: plugin.package for plugin in registry().plugins}
    assert result.vlmkit_version
    assert result.components == dict.fromkeys(
        [
            "aligner/stab",
            "backbone/hf-causal-lm",
            "downsampler/lsd",
            "reader/decord",
            "evaluator/open-ended-qa",
            "judge/exact",
        ],
        f"vlmkit {vlmkit.__version__}",
    )
    assert result.decoding == Decoding(greedy=True, max_new_tokens=5, batch_size=5, frames=8, sampling="reference")
    written = json.loads((tmp_path / "measured/eval/tiny/result.json").read_text())
    assert written == {**result.data(), "checksum": written["checksum"]}


def test_predictions_are_joined_with_verdicts(experiment: Experiment, tmp_path: Path) -> None:
    run_it(experiment(controls=["other-video"]), tmp_path, knows_what)
    rows = read_scored(tmp_path / "measured/eval/tiny")
    assert [row.document.id for row in rows[:5]] == ["ada-what", "bob-what", "cy-what", "dee-what", "ada-who"]
    assert {key: value for key, value in rows[0].answer.data().items() if key != "asked"} == {
        "id": "ada-what",
        "video": "ada",
        "question": "what is it?",
        "answer": "what of ada",
        "type": "what",
        "prediction": "What of ADA!",
    }
    assert (rows[0].is_right, rows[0].verdict) == (True, Verdict(True, 5.0, "'what of ada' == 'what of ada'"))
    assert rows[1].is_right is False
    others = read_scored(tmp_path / "measured/eval/tiny", "other-video")
    assert all(row.answer.shown != row.answer.video for row in others)
    with pytest.raises(RunError, match="no result of other in this run"):
        read_scored(tmp_path / "measured/eval/other")


def test_a_video_is_decoded_once(
    experiment: Experiment, tmp_path: Path, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = VideoLoader.load
    monkeypatch.setattr(
        VideoLoader, "load", lambda self, path, **part: (loaded.append(Path(path).name), load(self, path, **part))[1]
    )
    run_it(experiment(controls=["other-video"]), tmp_path, oracle)
    assert sorted(loaded) == ["ada.mp4", "bob.mp4", "cy.mp4", "dee.mp4"]
    assert [len(batch) for batch in oracle.batches] == [5, 5, 5, 5, 4]


class KilledError(BaseException):
    """As a kill: nothing may catch it."""


@pytest.mark.parametrize(("after", "torn"), [(0, 0), (3, 0), (3, 1)])
def test_an_interrupted_evaluation_goes_on(
    experiment: Experiment, tmp_path: Path, oracle: Any, after: int, torn: int
) -> None:
    spec = experiment(controls=["other-video"])
    expected = run_it(spec, tmp_path / "whole", oracle)
    oracle.batches = []

    def killed(prompts: Sequence[str], videos: Sequence[FittedVideo], longest: int) -> Sequence[str]:
        if len(oracle.batches) == after:
            raise KilledError
        return oracle(prompts, videos, longest)

    with pytest.raises(KilledError):
        run_it(spec, tmp_path / "cut", killed)
    folders = [tmp_path / name / "measured" / "eval" / "tiny" for name in ("whole", "cut")]
    if torn:
        journal = folders[1] / "predictions.jsonl"
        journal.write_bytes(journal.read_bytes()[:-7])
    oracle.batches = []
    assert scores(run_it(spec, tmp_path / "cut", oracle)) == scores(expected)
    assert sum(map(len, oracle.batches)) == 24 - 5 * after + torn, "no question that has its answer"
    for name in ("predictions.jsonl", "other-video_predictions.jsonl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()


def test_what_was_asked_differently_is_asked_again(experiment: Experiment, tmp_path: Path, oracle: Any) -> None:
    run_it(experiment(), tmp_path, oracle)
    first, oracle.batches = oracle.batches, []
    run_it(experiment(), tmp_path, oracle)
    assert oracle.batches == []
    run_it(experiment(max_new_tokens=9), tmp_path, oracle)
    assert oracle.batches == first


def test_questions_that_are_only_scored_differently_are_asked_once(
    experiment: Experiment, tmp_path: Path, oracle: Any
) -> None:
    own = tmp_path / "own.json"
    rows = [{"id": n, "video": video, "question": "who is it?", "answer": str(n)} for n, video in enumerate("aabba")]
    own.write_text(json.dumps([{**row, "video": {"a": "ada", "b": "bob"}[row["video"]]} for row in rows]))
    spec = experiment({"annotation_root": None, "annotations": [{"path": str(own)}]})
    run = RunFolder.open(spec, tmp_path)
    assert evaluate_benchmarks(spec, run, generate=oracle)["tiny"].n == 5
    assert [len(batch) for batch in oracle.batches] == [2]
    said = [scored.answer.prediction for scored in read_scored(run.evaluation("tiny"))]
    assert said[0] == said[1] == said[4] != said[2] == said[3]


def test_unreadable_videos_are_skipped_recorded_and_counted(
    experiment: Experiment, tmp_path: Path, clips: Path, oracle: Any
) -> None:
    (clips / "bob.mp4").write_bytes(b"no video at all")
    (clips / "cy.mp4").unlink()
    spec = experiment(controls=["other-video"], data={"max_bad_fraction": 0.5})
    result = run_it(spec, tmp_path, oracle)
    assert (result.n, result.skipped, result.unscored) == (6, 6, 0)
    assert result.by_type["how"].n == 2
    assert result.controls["other-video"].skipped == 6
    bad = [json.loads(line) for line in (tmp_path / "measured" / "bad_samples.jsonl").read_text().splitlines()]
    assert {(line["id"], line["where"]) for line in bad} == {("bob", "tiny"), ("cy", "tiny")}
    rows = {row.document.id: row for row in read_scored(tmp_path / "measured/eval/tiny")}
    assert rows["cy-who"].answer.prediction is rows["cy-who"].is_right is None
    assert rows["cy-who"].answer.skipped == f"no file cy.avi or cy.mp4 in {clips}"
    assert "bob.mp4" in rows["bob-how"].answer.skipped
    oracle.batches = []
    assert scores(run_it(spec, tmp_path, oracle)) == scores(result)
    assert oracle.batches == []


def test_a_repaired_video_is_asked_about(experiment: Experiment, tmp_path: Path, clips: Path, oracle: Any) -> None:
    """Also where it has the size of the damaged one, which the fingerprint of a question goes by."""
    spec = experiment(data={"max_bad_fraction": 0.5}, controls=["other-video"])
    expected = run_it(spec, tmp_path / "whole", oracle)
    whole = (clips / "bob.mp4").read_bytes()
    (clips / "bob.mp4").write_bytes(bytes(len(whole)))
    assert run_it(spec, tmp_path, oracle).skipped == 3
    bad = tmp_path / "measured/bad_samples.jsonl"
    bad.write_text(bad.read_text() + '{"id": "1", "video": null, "reason": "torn", "where": "stages/1-one"}\n')
    (clips / "bob.mp4").write_bytes(whole)
    assert scores(run_it(spec, tmp_path, oracle)) == scores(expected)
    assert [json.loads(line)["where"] for line in bad.read_text().splitlines()] == ["stages/1-one"]


def test_what_stays_unreadable_is_not_asked_again(
    experiment: Experiment, tmp_path: Path, clips: Path, oracle: Any
) -> None:
    (clips / "bob.mp4").write_bytes(b"no video at all")
    spec = experiment(data={"max_bad_fraction": 0.5}, controls=["other-video"])
    first = run_it(spec, tmp_path, oracle)
    bad = (tmp_path / "measured/bad_samples.jsonl").read_text()
    oracle.batches = []
    assert scores(run_it(spec, tmp_path, oracle)) == scores(first)
    assert oracle.batches == []
    assert (tmp_path / "measured/bad_samples.jsonl").read_text() == bad


def test_more_unreadable_videos_than_allowed(experiment: Experiment, tmp_path: Path, clips: Path, oracle: Any) -> None:
    (clips / "bob.mp4").write_bytes(b"no video at all")
    with pytest.raises(
        DataError, match=r"tiny: 1 of 4 samples could not be read, more than .*max_bad_fraction = 0\.01"
    ):
        run_it(experiment(), tmp_path, oracle)
    assert not (tmp_path / "measured/eval/tiny/result.json").exists()


def test_a_judge_failure_is_not_a_wrong_answer(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = ExactJudge.judge_one

    def fails(self: ExactJudge, request: JudgeRequest) -> Verdict | Unscored:
        return Unscored("no answer") if request.question.startswith("who") else judge(self, request)

    monkeypatch.setattr(ExactJudge, "judge_one", fails)
    result = run_it(experiment(), tmp_path, knows_what)
    assert (result.n, result.skipped, result.unscored) == (8, 0, 4)
    assert result.metrics["accuracy"].value == pytest.approx(1 / 8)
    assert result.by_type["who"] == TypeScores(n=0, metrics={})
    row = next(row for row in read_scored(tmp_path / "measured/eval/tiny") if row.document.id == "bob-who")
    assert row.is_right is None
    assert row.verdict == Unscored("no answer")


def test_a_protocol_says_which_frames_are_shown(experiment: Experiment, tiny: Any, tmp_path: Path, oracle: Any) -> None:
    own = run_it(experiment(), tmp_path / "own", oracle)
    tiny.write(frames={"type": "segment-midpoint"})
    theirs = run_it(experiment(), tmp_path / "theirs", oracle)
    assert own.decoding is not None
    assert theirs.decoding is not None
    assert (own.decoding.sampling, theirs.decoding.sampling) == ("reference", "segment-midpoint")
    assert own.asked != theirs.asked
    tiny.write(frames={"type": "segment-mitpoint"})
    with pytest.raises(SpecError, match="no installed plugin offers sampler 'segment-mitpoint'"):
        run_it(experiment(), tmp_path / "typo", oracle)
