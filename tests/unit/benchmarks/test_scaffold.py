"""New entries: an evaluation takes them as they are made."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from vlmkit.benchmarks.benchmark_check import check_benchmark
from vlmkit.benchmarks.scaffold import QuestionKind, new_benchmark
from vlmkit.evaluation import evaluate_benchmarks, prepare_benchmark
from vlmkit.run_folder import RunFolder
from vlmkit.spec.evaluation import BenchmarkUse
from vlmkit.spec.experiment import ExperimentSpec


@pytest.mark.parametrize("kind", get_args(QuestionKind))
def test_a_new_entry_is_accepted_as_it_is(
    kind: QuestionKind, clips: Path, tmp_path: Path, experiment: Callable[..., ExperimentSpec], oracle: Any
) -> None:
    shutil.copy(clips / "ada.mp4", clips / "example.mp4")
    place = new_benchmark("crossing", tmp_path / "mine", kind)
    assert {file.name for file in place.iterdir()} == {"benchmark.yaml", "README.md", "questions.jsonl"}
    more = [str(tmp_path / "mine")]
    use = BenchmarkUse(name="crossing", video_root=str(clips))
    assert check_benchmark(use, more).problems == []
    prepared = prepare_benchmark(use, more)
    assert [document.answer for document in prepared.documents] == ["green", "three"]
    assert list(prepared.videos.values()) == [clips / "example.mp4"]
    if kind == "multiple-choice":
        assert [(document.options, document.correct) for document in prepared.documents] == [
            (("red", "green"), 1), (("two", "three", "four"), 1),
        ]  # fmt: skip
        assert "A. red\nB. green" in prepared.rules.prompt(prepared.documents[0]).user
    spec = experiment({"name": "crossing", "annotation_root": None}, benchmarks_path=more)
    result = evaluate_benchmarks(spec, RunFolder.open(spec, tmp_path), generate=oracle)["crossing"]
    assert (result.n, result.skipped) == (2, 0)
    assert result.metrics["accuracy"].value == 0, "the oracle does not know"
