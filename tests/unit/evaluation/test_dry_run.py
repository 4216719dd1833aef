"""The costs of an evaluation, told before it begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vlmkit.evaluation import evaluate_benchmarks, prepare_benchmarks
from vlmkit.evaluation.dry_run import cost_of_evaluation
from vlmkit.run_folder import RunFolder
from vlmkit.spec.experiment import ExperimentSpec

OPENAI = {"type": "openai", "model": "m", "api_key_env": None, "input_price": 10, "output_price": 1000}


@pytest.fixture
def cost(experiment: Callable[..., ExperimentSpec], tmp_path: Path) -> Callable[..., str]:
    """The costs of the benchmark `tiny`, with these options of the evaluation."""

    def told(**options: Any) -> str:
        spec = experiment(**options)
        [benchmark] = prepare_benchmarks(spec)
        return cost_of_evaluation(benchmark, spec, RunFolder(tmp_path / "measured"))  # type: ignore[arg-type]

    return told


def test_answers_to_come_count_each_and_those_there_once(
    cost: Callable[..., str], experiment: Callable[..., ExperimentSpec], oracle: Any, tmp_path: Path
) -> None:
    both = {"judge": OPENAI, "controls": ["other-video"]}
    assert cost(**both).startswith("24 questions, 24 of them to be asked; 24 answers to judge, 24 of them new; judge ")
    assert not (tmp_path / "measured").exists()
    spec = experiment({"limit": 4})
    evaluate_benchmarks(spec, RunFolder.open(spec, tmp_path), generate=oracle)
    told = cost(**both)
    assert told.startswith(
        "24 questions, 20 of them to be asked; 24 answers to judge, 24 of them new; judge openai: 24 "
    )
    assert "at most 6,144 output tokens, at most $6." in told
    assert cost() == "12 questions, 8 of them to be asked; 12 answers to judge, 8 of them new; at no cost"


def test_where_rules_decide_no_judge_is_needed(cost: Callable[..., str], tiny: Any) -> None:
    tiny.write(evaluator={"type": "number"}, metrics=["accuracy"])
    assert cost() == "12 questions, 12 of them to be asked; no judge is needed"
