"""The contract of harnesses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pytest

from vlmkit.api import Harness, HarnessPart, HarnessResult, HarnessScore, HarnessSpec, HarnessTask, PluginError

Measure = Callable[[], Any]
MEAN = HarnessScore(0.5, [0.0, 1.0])
TASK = HarnessTask("1", "test", "abc")


class Mine(Harness):
    version = "mine 1.0"

    def __init__(self, task: Any, result: Any) -> None:
        self.task, self.result = task, result

    def prepare(self, limit: int | None) -> HarnessTask:
        return self.task

    def measure(self, model: Any, processor: Any, batch_size: int, limit: int | None) -> HarnessResult:
        return self.result


def _measured(**metrics: Any) -> HarnessResult:
    return Mine(TASK, HarnessResult(2, metrics)).measure(None, None, 1, None)


@pytest.mark.parametrize(
    "score",
    [
        MEAN,
        HarnessScore(1, [2, 0, 1]),
        HarnessScore(0.75, [0.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"]),
        HarnessScore(40.0, draws=[39.0, 41.0] * 50),
    ],
)
def test_means_and_other_statistics_are_taken(score: HarnessScore) -> None:
    assert _measured(acc=score).metrics == {"acc": score}


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (HarnessScore(0.4, [0.0, 1.0]), "gives acc 0.4, but the mean of its values is 0.5"),
        (HarnessScore(0.5, [0.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"]), "but the mean of its values is 0.75"),
        (HarnessScore(0.5, [0.0, 1.0], ["a"]), "gives 1 strata for 2 values of acc"),
        (HarnessScore(0.5), "gives 0 values and 0 draws of acc"),
        (HarnessScore(0.5, draws=[0.5] * 99), "0 values and 99 draws of acc, expected .* at least 100 draws"),
        (HarnessScore(float("nan"), [float("nan")]), "nan"),
        (0.5, "expected a vlmkit.api.HarnessScore"),
    ],
)
def test_a_score_without_an_interval_is_refused(score: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        _measured(acc=score)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (None, "expected a vlmkit.api.HarnessTask"),
        (HarnessTask("1", "test", ""), "a HarnessTask whose `asked` is empty"),
        (HarnessTask("1", "test", "abc", [1]), "`settings` as a mapping"),  # type: ignore[arg-type]
    ],
)
def test_a_task_says_what_its_scores_depend_on(task: Any, message: str) -> None:
    with pytest.raises(PluginError, match=message):
        Mine(task, None).prepare(None)


@pytest.mark.parametrize("part", [HarnessPart(0, {}), HarnessPart(2, {"acc": HarnessScore(1.0, [0.0])}), {}])
def test_parts_are_looked_at_too(part: Any) -> None:
    result = HarnessResult(2, {"acc": MEAN}, {"a": HarnessPart(2, {"acc": MEAN}), "b": part})
    with pytest.raises(PluginError, match="measure gives"):
        Mine(TASK, result).measure(None, None, 1, None)


def test_a_harness_has_a_version() -> None:
    class Nameless(HarnessSpec):
        type: Literal["nameless"] = "nameless"

        def build(self) -> Harness:
            built = Mine(TASK, None)
            built.version = ""
            return built

    with pytest.raises(PluginError, match="gives a harness without `version`"):
        Nameless(task="x").build()
