"""Answers that are there already, scored again: as their result has it, or under other protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.errors import DataError, RunError
from vlmkit.evaluation.answers import Answer, read_answers
from vlmkit.evaluation.benchmarks import Benchmark, find_benchmark
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.protocols import Rules, build_rules
from vlmkit.evaluation.questions import answers_file
from vlmkit.evaluation.records import BenchmarkResult, JudgeName, read_result
from vlmkit.evaluation.scores import ScoredAnswer, score_answers
from vlmkit.json_files import is_present

__all__ = ["Flip", "flips", "protocols_of", "read_scored", "rescore", "rules_of"]


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
    name = result.protocol.partition("@")[0]
    benchmark = find_benchmark(result.benchmark, more)
    protocol = benchmark.protocol(name or None)
    if result.protocol and protocol.label != result.protocol:
        raise DataError(
            f"{result.benchmark}: the result is of protocol {result.protocol}, this installation has {protocol.label}; "
            "run `vlmkit eval` again, which keeps the answers"
        )
    return build_rules(protocol, benchmark.folder)


def rescore(folder: Path, answers: Sequence[Answer], rules: Rules, judge: JudgeName | None) -> list[ScoredAnswer]:
    """Score answers by these rules, with the verdicts of a judge that are stored in a folder; others are unscored."""
    with closing(VerdictStore(folder / "verdicts.sqlite", read_only=True)) as store:
        return score_answers(answers, rules, store.judging(judge, None))


class Flip(NamedTuple):
    """An answer that protocols score differently."""

    document: Document
    prediction: str
    readings: Mapping[str, str]
    """By protocol: right, wrong, or why it does not count, and how the answer was read."""


def flips(scored: Mapping[str, Sequence[ScoredAnswer]]) -> list[Flip]:
    """Return the answers that some protocols score differently, in the order of the benchmark.

    `scored` has the same answers by the name of each protocol.
    """
    found = []
    for same in zip(*scored.values(), strict=True):
        if len({(one.outcome, tuple(sorted(one.values.items()))) for one in same}) > 1:
            readings = {name: _told(one) for name, one in zip(scored, same, strict=True)}
            found.append(Flip(same[0].document, same[0].answer.prediction or "", readings))
    return found


def _told(one: ScoredAnswer) -> str:
    """Return in a few words what became of an answer."""
    outcome = one.outcome if one.is_right is None else "right" if one.is_right else "wrong"
    reading = one.reading
    if reading is None:
        return outcome
    letter = "" if reading.choice is None else f" {chr(ord('A') + reading.choice)}"
    why = f": {reading.why}" if reading.why else ""
    return f"{outcome} ({reading.state}{letter}{why})"


def protocols_of(benchmark: Benchmark, names: Sequence[str]) -> dict[str, Rules]:
    """Return the rules of some protocols of a benchmark; without names, of all."""
    chosen = names or list(benchmark.protocols)
    return {name: build_rules(benchmark.protocol(name), benchmark.folder) for name in chosen}
