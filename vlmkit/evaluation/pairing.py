"""The values of two sets of answers to the same questions, in pairs: of two runs, or of a run and its control."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlmkit.benchmarks.protocols import Rules
from vlmkit.evaluation.records import Metric
from vlmkit.evaluation.scores import ScoredAnswer, metric_values

if TYPE_CHECKING:
    from vlmkit.statistics.paired import Paired
    from vlmkit.statistics.power import Comparison

__all__ = ["Pair", "compare_control", "pair_of"]


@dataclass(frozen=True)
class Pair:
    """The values of a first and a second system on the same questions, compared."""

    values: tuple[list[float], list[float]]
    """Of questions, or of groups of them."""
    clusters: list[Hashable]
    macro: bool
    """The means are means of means."""
    paired: Paired

    @property
    def n(self) -> int:
        """How many values there are."""
        return len(self.clusters)

    def questions_needed(self) -> int | None:
        """Return how many questions find the difference that was seen in 4 of 5 cases; None where that is not known."""
        plan = self._plan()
        return plan.questions(abs(self.paired.difference.value)) if plan else None

    def detectable(self) -> float | None:
        """Return the least difference that as many questions find in 4 of 5 cases; None where that is not known."""
        plan = self._plan()
        return plan.detectable(self.n) if plan else None

    def _plan(self) -> Comparison | None:
        """Return the comparison to be made again; None where values are graded, or none differ."""
        from vlmkit.statistics.clustering import standard_errors
        from vlmkit.statistics.power import Comparison

        found, binary = self.paired, all(value in (0, 1) for values in self.values for value in values)
        apart = len(found.only_first) + len(found.only_second)
        if self.macro or not binary or not apart:
            return None
        differences = [one - other for one, other in zip(*self.values, strict=True)]
        effect = standard_errors(differences, self.clusters).design_effect
        return Comparison(min(found.first, found.second), apart / self.n, effect)


def pair_of(
    first: Sequence[ScoredAnswer], second: Sequence[ScoredAnswer], metric: str, rules: Rules, cluster: str
) -> Pair | None:
    """Compare two systems on the questions that both have a value of; None where there are none."""
    from vlmkit.statistics.paired import paired

    known = {one.document.id: one for one in second if metric in one.values}
    both = [one for one in first if metric in one.values and one.document.id in known]
    if not both:
        return None
    a = metric_values(both, metric, rules, cluster)
    b = metric_values([known[one.document.id] for one in both], metric, rules, cluster)
    return Pair((a.values, b.values), a.clusters, a.strata is not None,
                paired(a.values, b.values, a.clusters, *rules.ranges()[metric], a.strata))  # fmt: skip


def compare_control(
    own: Sequence[ScoredAnswer], control: Sequence[ScoredAnswer], rules: Rules, cluster: str
) -> dict[str, Metric]:
    """Return, by metric, the score of questions as they are minus that with a control, paired by question."""
    pairs = {name: pair_of(own, control, name, rules, cluster) for name in rules.protocol.metrics}
    found = {name: pair.paired.difference for name, pair in pairs.items() if pair}
    return {name: Metric(value=one.value, ci95=[one.low, one.high]) for name, one in found.items()}
