"""Shares of an evaluation: each asks its own, and the last one measures what one process would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from vlmkit.errors import RunError, SpecError
from vlmkit.evaluation import BenchmarkResult, EvaluationShard, evaluate_benchmarks, shards
from vlmkit.evaluation.questions import prepare_benchmarks, question_sets
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

Experiment = Callable[..., ExperimentSpec]
NAMES = ("predictions.jsonl", "other-video_predictions.jsonl")


class KilledError(BaseException):
    """As a kill: nothing may catch it."""


def measure(spec: ExperimentSpec, folder: Path, model: Any, shard: str | None = None) -> dict[str, BenchmarkResult]:
    part = EvaluationShard.parse(shard) if shard else None
    return evaluate_benchmarks(spec, RunFolder.open(spec, folder), generate=model, shard=part)


def scores(result: BenchmarkResult) -> dict[str, Any]:
    return {key: value for key, value in result.data().items() if key != "seconds"}


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "measured/eval/tiny").glob("*.jsonl"))


def lines(folder: Path) -> list[bytes]:
    return [(folder / "measured/eval/tiny" / name).read_bytes() for name in NAMES]


@pytest.mark.parametrize("text", ["0/3", "4/3", "3", "1/2/3", "-1/3", "a/b", "1/0", "1 / 2", "", "1/999999"])
def test_what_is_no_share(text: str) -> None:
    with pytest.raises(SpecError, match="--shard: expected a share like 3/16, the third of sixteen, found"):
        EvaluationShard.parse(text)


def test_names_of_shares_sort_as_their_numbers() -> None:
    whole = Path("eval/predictions.jsonl")
    assert EvaluationShard.parse("3/16").file(whole) == Path("eval/predictions.shard-03-of-16.jsonl")
    assert (
        EvaluationShard(2, 3).file(Path("other-video_predictions.jsonl")).name
        == "other-video_predictions.shard-2-of-3.jsonl"
    )
    assert str(EvaluationShard(3, 16)) == "3/16"


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shares_are_whole_videos_and_leave_nothing_out(experiment: Experiment, count: int) -> None:
    spec = experiment(controls=["other-video", "no-video", "reversed-frames"])
    [benchmark] = prepare_benchmarks(spec)
    sets = [(some.questions, Path(some.file)) for some in question_sets(benchmark, spec, "")]
    parts = [EvaluationShard(number, count).share(sets) for number in range(1, count + 1)]
    for place, (questions, path) in enumerate(sets):
        shared = [part[place] for part in parts]
        assert {each[1] for each in shared} == {path}
        assert sorted(map(id, questions)) == sorted(id(question) for each in shared for question in each[0])
    shown = [{question.shown for questions, _ in part for question in questions} - {""} for part in parts]
    assert sum(map(len, shown)) == 4
    sizes = [sum(len(questions) for questions, _ in part) for part in parts]
    assert max(sizes) - min(sizes) <= 12, "those of one video"


@pytest.mark.parametrize("order", [("1/3", "2/3", "3/3"), ("3/3", "1/3", "2/3")])
def test_the_last_share_measures(experiment: Experiment, tmp_path: Path, oracle: Any, order: Sequence[str]) -> None:
    spec = experiment(controls=["other-video"])
    [expected] = measure(spec, tmp_path / "whole", oracle).values()
    oracle.batches = []
    for number, shard in enumerate(order[:2], 1):
        assert measure(spec, tmp_path / "parts", oracle, shard) == {}
        assert len(files(tmp_path / "parts")) == 2 * number
        assert not (tmp_path / "parts/measured/eval/tiny/result.json").exists()
    [result] = measure(spec, tmp_path / "parts", oracle, order[2]).values()
    assert scores(result) == scores(expected)
    assert lines(tmp_path / "parts") == lines(tmp_path / "whole")
    assert files(tmp_path / "parts") == sorted(NAMES)
    assert sum(map(len, oracle.batches)) == 24, "each question once"
    assert measure(spec, tmp_path / "parts", oracle, "2/3") == measure(spec, tmp_path / "parts", oracle)
    assert sum(map(len, oracle.batches)) == 24


def test_an_incomplete_evaluation_says_what_is_missing(experiment: Experiment, tmp_path: Path, oracle: Any) -> None:
    spec = experiment(controls=["other-video"])
    [expected] = measure(spec, tmp_path / "whole", oracle).values()
    measure(spec, tmp_path, oracle, "2/3")
    oracle.batches = []
    said = r"eval/tiny: 18 of 24 questions have no answer yet, by shard: 1/3 \(12\), 3/3 \(6\); run these with --shard"
    with pytest.raises(RunError, match=said):
        measure(spec, tmp_path, oracle)
    assert oracle.batches == []
    [result] = measure(spec, tmp_path, oracle, "1/1").values()
    assert scores(result) == scores(expected)
    assert sum(map(len, oracle.batches)) == 18
    assert files(tmp_path) == sorted(NAMES)


def test_an_interrupted_share_goes_on_also_as_another_share(
    experiment: Experiment, tmp_path: Path, oracle: Any
) -> None:
    spec = experiment(controls=["other-video"])
    [expected] = measure(spec, tmp_path / "whole", oracle).values()
    oracle.batches = []

    def killed(prompts: Sequence[Any], videos: Sequence[Any], longest: int) -> Sequence[str]:
        if len(oracle.batches) == 1:
            raise KilledError
        answers: Sequence[str] = oracle(prompts, videos, longest)
        return answers

    with pytest.raises(KilledError):
        measure(spec, tmp_path, killed, "1/2")
    assert sum(map(len, oracle.batches)) == 5
    assert measure(spec, tmp_path, oracle, "2/4") == {}
    assert sum(map(len, oracle.batches)) == 11
    assert measure(spec, tmp_path, oracle, "1/2") == {}
    [result] = measure(spec, tmp_path, oracle, "2/2").values()
    assert sum(map(len, oracle.batches)) == 24
    assert scores(result) == scores(expected)
    assert lines(tmp_path) == lines(tmp_path / "whole")


def test_what_was_asked_differently_is_no_answer(experiment: Experiment, tmp_path: Path, oracle: Any) -> None:
    measure(experiment(), tmp_path, oracle, "1/2")
    assert measure(experiment(max_new_tokens=9), tmp_path, oracle, "2/2") == {}
    with pytest.raises(RunError, match=r"6 of 12 questions have no answer yet, by shard: 1/2 \(6\)"):
        measure(experiment(max_new_tokens=9), tmp_path, oracle)


def test_unreadable_videos_are_written_down_once(
    experiment: Experiment, tmp_path: Path, oracle: Any, clips: Path
) -> None:
    (clips / "bob.mp4").write_bytes(b"no video at all")
    spec = experiment(data={"max_bad_fraction": 0.5})
    [expected] = measure(spec, tmp_path / "whole", oracle).values()
    for shard in ("1/3", "2/3", "3/3"):
        results = measure(spec, tmp_path, oracle, shard)
    assert scores(results["tiny"]) == scores(expected)
    assert results["tiny"].skipped == 3
    bad = [(folder / "measured/bad_samples.jsonl").read_text() for folder in (tmp_path, tmp_path / "whole")]
    assert bad[0] == bad[1]
    assert bad[0].count("\n") == 1


def test_two_processes_do_not_answer_one_share(experiment: Experiment, tmp_path: Path, oracle: Any) -> None:
    spec = experiment()
    run = RunFolder.open(spec, tmp_path)
    with EvaluationShard(1, 2).locked(run.path):
        with pytest.raises(RunError, match="another process is working on shard 1/2 of this run; wait until it ends"):
            measure(spec, tmp_path, oracle, "1/2")
        assert measure(spec, tmp_path, oracle, "2/2") == {}


def test_while_somebody_puts_them_together_the_last_share_leaves_it_to_him(
    experiment: Experiment, tmp_path: Path, oracle: Any
) -> None:
    spec = experiment()
    with RunFolder.open(spec, tmp_path).locked():
        assert measure(spec, tmp_path, oracle, "1/1") == {}
    assert len(measure(spec, tmp_path, oracle, "1/1")) == 1


@pytest.fixture
def _first_of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_POLL", 0.05)
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)


@pytest.mark.usefixtures("_first_of_two")
def test_the_first_process_waits_for_the_others(
    experiment: Experiment, tmp_path: Path, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = experiment(controls=["other-video"])
    waited: list[float] = []

    def other_process(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            with monkeypatch.context() as other:
                other.setenv("RANK", "1")
                assert measure(spec, tmp_path, oracle) == {}

    monkeypatch.setattr(shards.time, "sleep", other_process)
    [result] = measure(spec, tmp_path, oracle).values()
    assert len(waited) == 3
    assert sum(map(len, oracle.batches)) == 24
    assert result.n == 12
    assert files(tmp_path) == sorted(NAMES)


@pytest.mark.usefixtures("_first_of_two")
def test_a_process_that_never_comes_is_an_error(
    experiment: Experiment, tmp_path: Path, oracle: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shards, "_PATIENCE", 0.1)
    with pytest.raises(RunError, match=r"the process with shard 2/2 has ended, or never begun, with 6 questions to do"):
        measure(experiment(), tmp_path, oracle)
    monkeypatch.delenv("WORLD_SIZE")
    oracle.batches = []
    [result] = measure(experiment(), tmp_path, oracle, "1/1").values()
    assert (result.n, sum(map(len, oracle.batches))) == (12, 6)


@pytest.mark.usefixtures("_first_of_two")
def test_processes_of_a_shard_share_it(experiment: Experiment, tmp_path: Path, oracle: Any) -> None:
    from vlmkit.evaluation.asking import shards_here

    assert shards_here(None) == [EvaluationShard(1, 2), EvaluationShard(2, 2)]
    assert shards_here(EvaluationShard(3, 16)) == [EvaluationShard(5, 32), EvaluationShard(6, 32)]
