"""Two systems on the same questions: what their results share, and how far their scores lie apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from vlmkit.benchmarks.locating import AnnotationsUsed
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import DataError, RunError, UserError, did_you_mean
from vlmkit.evaluation.finished import FinishedEvaluation
from vlmkit.evaluation.pairing import Pair, pair_of
from vlmkit.evaluation.records import JudgeName
from vlmkit.evaluation.rescoring import rescore
from vlmkit.evaluation.scores import ScoredAnswer, by_label, primary_metric
from vlmkit.formatting import plural

__all__ = ["Compared", "compare"]


@dataclass(frozen=True)
class _Side:
    """One system, scored by its own rules."""

    found: FinishedEvaluation
    rules: Rules
    judge: JudgeName | None
    scored: Sequence[ScoredAnswer]

    @classmethod
    def of(cls, found: FinishedEvaluation, judge: str | None) -> _Side:
        rules = found.rules()
        name = found.judge(rules, judge)
        return cls(found, rules, name, rescore(found.folder, found.answers, rules, name))

    @cached_property
    def questions(self) -> dict[str, tuple[Any, ...]]:
        """By id, all that makes a question the same one."""
        return {
            one.document.id: (one.document.question, one.document.references, frozenset(one.document.options))
            for one in self.scored
        }

    def conditions(self) -> dict[str, str]:
        """Return the conditions that have to be the same in both, in words; empty where one is not known."""
        result, rules = self.found.result, self.rules
        assert result is not None  # as there are rules
        decoding = result.decoding
        return {
            "benchmark": result.benchmark,
            "version": result.version,
            "split": result.split,
            "protocol": rules.protocol.label,
            "judge": str(self.judge or "none"),
            "limit": str(result.limit or "none"),
            "annotations": _told(result.annotations),
            "number of frames": str(decoding.frames) if decoding and decoding.frames else "",
            "sampler": _component(decoding.sampling) if decoding and decoding.sampling else "",
        }


@dataclass(frozen=True)
class Compared:
    """Two systems, A and B, question by question."""

    metric: str
    differing: Mapping[str, tuple[str, str]]
    """All that differs but the systems themselves, by its name; empty unless that was allowed."""
    whole: Pair
    parts: Mapping[str, Mapping[str, Pair]]
    """By column (type, task, …) and its labels."""
    discordant: Sequence[tuple[ScoredAnswer, ScoredAnswer]]
    """The answers whose values differ."""
    left_out: int
    """Questions that both have, of which one system or both have no value."""


def compare(
    first: FinishedEvaluation,
    second: FinishedEvaluation,
    metric: str | None = None,
    judge: str | None = None,
    *,
    across: bool = False,
) -> Compared:
    """Compare two systems on the questions that both have answered.

    Args:
        first: A.
        second: B.
        metric: name of the metric; None: accuracy, or else the first that both have.
        judge: by whose stored verdicts both are scored; None: each by that of its result.
        across: compare results that differ in more than the system.

    Raises:
        UserError: the results differ in more than the system, or have no question or metric in common.
    """
    a, b = _Side.of(first, judge), _Side.of(second, judge)
    differing = dict(_differing(a, b))
    if differing and not across:
        lines = [f"  {name}: {one} against {other}" for name, (one, other) in differing.items()]
        raise RunError(
            "\n".join([
                f"{first.folder} and {second.folder} differ in more than the system:",
                *lines,
                "--across compares them all the same, on the questions that both have, and says so",
            ])
        )  # fmt: skip
    same = {key for key, asked in a.questions.items() if b.questions.get(key) == asked}
    if not same:
        raise RunError(f"{first.folder} and {second.folder} have no question in common")
    shared = [name for name in a.rules.protocol.metrics if name in b.rules.protocol.metrics]
    chosen = metric or primary_metric(shared)
    if chosen is None or chosen not in shared:
        known = f"{did_you_mean(metric, shared) if metric else ''}both have: {', '.join(shared) or 'none'}"
        raise UserError(f"expected a metric that both results have, found {metric!r}; {known}")
    left, right = ([one for one in side.scored if one.document.id in same] for side in (a, b))
    return _compared(left, right, chosen, a.rules, first, differing)


def _compared(
    a: Sequence[ScoredAnswer],
    b: Sequence[ScoredAnswer],
    metric: str,
    rules: Rules,
    first: FinishedEvaluation,
    differing: Mapping[str, tuple[str, str]],
) -> Compared:
    entry = first.benchmark
    whole = pair_of(a, b, metric, rules, entry.cluster)
    if whole is None:
        raise DataError(f"{first.folder}: none of {plural(len(a), 'question')} that both have is scored in both")
    over = rules.protocol.aggregate.over
    parts = {}
    for column in dict.fromkeys(("type", *([over] if over else []), *entry.break_down)):
        pairs = {label: pair_of(some, b, metric, rules, entry.cluster) for label, some in by_label(a, column).items()}
        parts[column] = {label: pair for label, pair in pairs.items() if pair}
    known = {one.document.id: one for one in b if metric in one.values}
    both = [(one, known[one.document.id]) for one in a if metric in one.values and one.document.id in known]
    differ = [(one, other) for one, other in both if one.values[metric] != other.values[metric]]
    several = {column: found for column, found in parts.items() if len(found) > 1}
    return Compared(metric, differing, whole, several, differ, len(a) - len(both))


def _differing(a: _Side, b: _Side) -> Iterator[tuple[str, tuple[str, str]]]:
    one, other = a.conditions(), b.conditions()
    yield from (
        (name, (said, other[name])) for name, said in one.items() if said and other[name] and said != other[name]
    )
    if a.questions != b.questions:
        same = sum(b.questions.get(key) == asked for key, asked in a.questions.items())
        sizes = [plural(len(side.questions), "question") for side in (a, b)]
        yield "questions", (sizes[0], f"{sizes[1]}, of which {same:,} are the same")


def _told(used: AnnotationsUsed | None) -> str:
    """Return what tells annotations; where they lie does not matter."""
    if used is None:
        return ""
    if used.dataset is not None:
        return _component({name: value for name, value in used.dataset.items() if name != "root"})
    sums = sorted(file.sha256 for file in used.files or ())
    digest = sums[0] if len(sums) == 1 else hashlib.sha256("".join(sums).encode()).hexdigest()
    return f"{plural(len(sums), 'file')} with sha256 {digest[:12]}…"


def _component(said: str | Mapping[str, Any]) -> str:
    if isinstance(said, str):
        return said
    return ", ".join(f"{value}" if name == "type" else f"{name} {value}" for name, value in said.items())
