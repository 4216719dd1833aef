"""Answers become the content of result.json: those to the questions as they are, and those of controls beside them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vlmkit._version import __version__
from vlmkit.benchmarks.entries import Benchmark
from vlmkit.benchmarks.protocols import Rules
from vlmkit.evaluation.answers import Answer
from vlmkit.evaluation.pairing import compare_control
from vlmkit.evaluation.records import (
    BenchmarkResult,
    Conditions,
    ControlScores,
    read_pending,
    write_pending,
    write_result,
)
from vlmkit.evaluation.scores import JudgeAll, score_sets, summarize
from vlmkit.manifest import file_entries
from vlmkit.observing import Observers
from vlmkit.registry import registry

__all__ = ["announce", "expect_result", "keep_result", "score_controls", "tell_cost"]

_EVENT = "evaluated"
_COUNTING = (
    "n questions were scored and make up the metrics, unreadable and drawn answers among them; questions about "
    "unreadable videos (skipped), those that the judge failed on (unscored) and those that the protocol leaves out "
    "(dropped) are left out of n and of all metrics"
)


def score_controls(
    answers: Mapping[str, Sequence[Answer]], benchmark: Benchmark, rules: Rules, judge: JudgeAll
) -> dict[str, Any]:
    """Return the scores of a `BenchmarkResult`, from the answers by the name of the control that they were given under.

    Those to the questions as they are stand under the empty name.
    """
    scored = dict(zip(answers, score_sets(list(answers.values()), rules, judge), strict=True))
    own = scored.pop("")
    cluster, break_down = benchmark.cluster, benchmark.break_down
    controls = {
        name: ControlScores.model_validate({
            **dict(summarize(some, rules, cluster, break_down)),
            "difference": compare_control(own, some, rules, cluster),
        })
        for name, some in scored.items()
    }  # fmt: skip
    return {**dict(summarize(own, rules, cluster, break_down)), **({"controls": controls} if controls else {})}


def keep_result(
    folder: Path,
    conditions: Conditions,
    scores: Mapping[str, Any],
    answers: Sequence[Path],
    seconds: float,
    spec_sha256: str,
    counting: str = _COUNTING,
) -> BenchmarkResult:
    """Write result.json into the folder of a benchmark, with the checksums of the files of answers beside it."""
    written = {
        **dict(conditions),
        **scores,
        "files": file_entries(folder, [file for file in answers if file.is_file()]),
        "counting": counting,
        "seconds": round(seconds, 1),
        "spec_sha256": spec_sha256,
        "plugins": {plugin.name: plugin.package for plugin in registry().plugins if plugin.state == "loaded"},
        "vlmkit_version": __version__,
    }
    result = BenchmarkResult.model_validate(written)
    write_result(folder / "result.json", result)
    return result


def expect_result(folder: Path, observers: Observers) -> None:
    """Note that the observers should hear of the next result in the folder of a benchmark."""
    write_pending(folder, observers.listeners(_EVENT))


def announce(folder: Path, result: BenchmarkResult, observers: Observers) -> None:
    """Tell a result to the observers that have not heard of it."""
    if pending := read_pending(folder):
        event = {"benchmark": folder.name, "metrics": result.flat(), "result": result.data()}
        write_pending(folder, observers.tell(_EVENT, pending, **event))


def tell_cost(text: str) -> None:
    """Say on stderr what judging will take."""
    print(text, file=sys.stderr, flush=True)
