"""Answers that are there already, scored again: as their result has it, or under other protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from vlmkit.api.judge import Unscored
from vlmkit.benchmarks.entries import Benchmark, find_benchmark
from vlmkit.benchmarks.protocols import Rules, build_rules
from vlmkit.errors import DataError, RunError
from vlmkit.evaluation.answers import Answer, read_answers
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.questions import answers_file
from vlmkit.evaluation.records import BenchmarkResult, JudgeName, read_result
from vlmkit.evaluation.scores import ScoredAnswer, primary_metric, score_answers
from vlmkit.json_files import is_present

__all__ = [
    "Flip", "flip_counts", "flips", "protocols_of", "read_scored", "rescore", "rules_of", "stored_rules",
]  # fmt: skip


def read_scored(folder: Path, control: str = "", more: Sequence[str] = ()) -> list[ScoredAnswer]:
    """Return the answers of a finished evaluation as they were scored, in the order of the benchmark. Writes nothing.

    Args:
        folder: `eval/BENCHMARK` of a run.
        control: the answers of this control instead.
        more: further folders of entries.

    Raises:
        UserError: there is no result, a file of it is malformed, or the registry has another version of its protocol.
    """
    if not is_present(folder / "result.json"):
        raise RunError(f"{folder}: there is no result of {folder.name} in this run; run `vlmkit eval` first")
    result = read_result(folder / "result.json")
    answers = list(read_answers(folder / answers_file(control)).values())
    return rescore(folder, answers, rules_of(result, more), result.judge)


def rules_of(result: BenchmarkResult, more: Sequence[str] = ()) -> Rules:
    """Return the rules by which a result was scored. A DataError where the registry has another version of them."""
    return stored_rules(find_benchmark(result.benchmark, more), result.protocol)


def stored_rules(benchmark: Benchmark, label: str) -> Rules:
    """Return the rules of a protocol by name and version, e.g. `authors@1`; those of the default where it is empty.

    A DataError where the registry has another version of them.
    """
    protocol = benchmark.protocol(label.partition("@")[0] or None)
    if label and protocol.label != label:
        raise DataError(
            f"{benchmark.name}: the result is of protocol {label}, this installation has {protocol.label}; "
            "run `vlmkit eval` again, which keeps the answers"
        )
    return build_rules(protocol, benchmark.folder)


def rescore(folder: Path, answers: Sequence[Answer], rules: Rules, judge: JudgeName | None) -> list[ScoredAnswer]:
    """Score answers by these rules, with the verdicts of a judge that are stored in a folder; others are unscored."""
    if judge is None and rules.judged:
        return score_answers(answers, rules, lambda requests: [Unscored("no judge has been asked")] * len(requests))
    with closing(VerdictStore(folder / "verdicts.sqlite", read_only=True)) as store:
        return score_answers(answers, rules, store.judging(judge, None))


class Flip(NamedTuple):
    """An answer that protocols score differently."""

    scored: Mapping[str, ScoredAnswer]
    """By protocol."""

    @property
    def answer(self) -> Answer:
        """The answer, with its question."""
        return next(iter(self.scored.values())).answer

    def told(self) -> dict[str, str]:
        """Return by protocol in a few words what became of the answer, and how it was read."""
        return {name: _told(one) for name, one in self.scored.items()}


def flips(scored: Mapping[str, Sequence[ScoredAnswer]]) -> list[Flip]:
    """Return the answers that some protocols score differently, in the order of the benchmark.

    `scored` has the same answers by the name of each protocol. Of several metrics that all have, the main one decides.
    """
    found = []
    for same in zip(*scored.values(), strict=True):
        metric = primary_metric(name for name in same[0].values if all(name in one.values for one in same))
        if len({(one.outcome, one.is_right, one.values.get(metric or "")) for one in same}) > 1:
            found.append(Flip(dict(zip(scored, same, strict=True))))
    return found


def flip_counts(scored: Mapping[str, Sequence[ScoredAnswer]]) -> dict[tuple[str, str], int]:
    """Return for each pair of protocols how many answers they score differently."""
    return {(a, b): len(flips({a: scored[a], b: scored[b]})) for a, b in combinations(scored, 2)}


def _told(one: ScoredAnswer) -> str:
    outcome = one.outcome if one.is_right is None else "right" if one.is_right else "wrong"
    reading = one.reading
    if reading is None:
        return outcome
    letter = "" if reading.choice is None else f" {chr(ord('A') + reading.choice)}"
    number = "" if reading.number is None else f" {reading.number:g}"
    why = f": {reading.why}" if reading.why else ""
    return f"{outcome} ({reading.state}{letter}{number}{why})"


def protocols_of(benchmark: Benchmark, names: Sequence[str]) -> dict[str, Rules]:
    """Return the rules of some protocols of a benchmark; without names, of all."""
    chosen = names or list(benchmark.protocols)
    return {name: build_rules(benchmark.protocol(name), benchmark.folder) for name in chosen}
