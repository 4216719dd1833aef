"""Judging as a step of its own: answers that are there, of a model or made elsewhere, get the verdicts of a judge."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vlmkit.api.judge import JudgeSpec
from vlmkit.benchmarks.entries import Benchmark, find_benchmark
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import DataError, RunError
from vlmkit.evaluation.answers import Answer, read_answers
from vlmkit.evaluation.fingerprint import judge_name
from vlmkit.evaluation.finished import answers_in
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.measured import announce, expect_result, keep_result, score_controls, tell_cost
from vlmkit.evaluation.questions import answers_file, protocol_judge
from vlmkit.evaluation.records import BenchmarkResult, Conditions, JudgeName, read_result
from vlmkit.evaluation.rescoring import rules_of
from vlmkit.json_files import is_present
from vlmkit.observing import Observers
from vlmkit.spec.evaluation import EvaluationSpec
from vlmkit.spec.identity import origins, versions
from vlmkit.spec.loading import read_component

__all__ = [
    "ChosenJudge",
    "JudgedAgain",
    "StoredAnswers",
    "choose_judge",
    "first_answers",
    "judge_again",
    "stored_answers",
]

_STORED = "stored"
"""The version of verdicts that came along with answers made elsewhere."""


@dataclass(frozen=True)
class StoredAnswers:
    """The answers of one evaluation, with all that judging them takes."""

    folder: Path
    """`eval/NAME` of a run, or of a folder like that of a run."""
    before: BenchmarkResult
    """The result so far."""
    benchmark: Benchmark
    rules: Rules
    answers: dict[str, list[Answer]]
    """By the name of the control; those to the questions as they are under the empty name."""


class JudgedAgain(NamedTuple):
    """An evaluation before and after it was judged."""

    name: str
    before: BenchmarkResult
    after: BenchmarkResult


class ChosenJudge(NamedTuple):
    """The judge of stored answers."""

    name: JudgeName
    spec: JudgeSpec | None
    """None: only verdicts that came along count."""


def stored_answers(run: Path, names: Sequence[str] = (), more: Sequence[str] = ()) -> list[StoredAnswers]:
    """Return the evaluations of a run of which answers can be left to a judge, or those of these names.

    `more` are further folders of entries. A UserError where there is none of a name, or its rules need no judge.
    """
    found = [_read(file.parent, more) for file in answers_in(run, names).values()]
    judged = [one for one in found if one.rules.judged]
    unjudged = [one.folder.name for one in found if not one.rules.judged]
    if unjudged and (names or not judged):
        raise DataError(
            f"{run}: the answers to {', '.join(unjudged)} are read by rules alone; there is nothing to judge"
        )
    return judged


def judge_again(
    stored: StoredAnswers,
    options: EvaluationSpec | None,
    judge: str | dict[str, Any] | None,
    limit: int | None,
    observers: Observers,
) -> JudgedAgain:
    """Have the stored answers judged, and write the result anew. What this judge has judged before it is not asked.

    Args:
        stored: the answers.
        options: of the run, of which the judge is used where `judge` is None.
        judge: another judge, by name or with its options, or the name of one whose verdicts came with the answers.
        limit: judge and score only the first so many answers, and leave result.json as it is.
        observers: what hears of the result.

    Raises:
        UserError: the judge cannot be built, or a file is malformed.
    """
    started, folder = time.monotonic(), stored.folder
    chosen = choose_judge(stored, options, judge)
    built = chosen.spec.build() if chosen.spec else None
    answers = first_answers(stored, limit)
    conditions = _conditions(stored, chosen)
    with closing(VerdictStore(folder / "verdicts.sqlite")) as store:
        scores = score_controls(answers, stored.benchmark, stored.rules, store.judging(chosen.name, built, tell_cost))
        if limit is not None:
            former = score_controls(answers, stored.benchmark, stored.rules, store.judging(stored.before.judge, None))
            return JudgedAgain(folder.name, _unwritten(stored.before, former), _unwritten(conditions, scores))
    files = [folder / answers_file(control) for control in stored.answers]
    seconds = time.monotonic() - started
    expect_result(folder, observers)
    result = keep_result(folder, conditions, scores, files, seconds, stored.before.spec_sha256)
    announce(folder, result, observers)
    return JudgedAgain(folder.name, stored.before, result)


def _read(folder: Path, more: Sequence[str]) -> StoredAnswers:
    if not is_present(folder / "result.json"):
        raise RunError(f"{folder}: there is no result of {folder.name} in this run yet; run `vlmkit eval` first")
    before = read_result(folder / "result.json")
    files = {control: folder / answers_file(control) for control in ("", *before.controls)}
    answers = {control: list(read_answers(file).values()) for control, file in files.items()}
    return StoredAnswers(folder, before, find_benchmark(before.benchmark, more), rules_of(before, more), answers)


def choose_judge(
    stored: StoredAnswers, options: EvaluationSpec | None, judge: str | dict[str, Any] | None
) -> ChosenJudge:
    """Return the judge that `judge` names, or else that of the spec, of verdicts that came along, or of the protocol.

    A UserError where there is none of the name, or it cannot be built.
    """
    rules, before = stored.rules, stored.before.judge
    if isinstance(judge, str):
        with closing(VerdictStore(stored.folder / "verdicts.sqlite", read_only=True)) as store:
            came_along = [one.name for one in store.judges() if one.version == _STORED]
        if judge in came_along:
            return ChosenJudge(JudgeName(name=judge, version=_STORED, prompts=rules.prompts), None)
    if judge is not None:
        spec: Any = read_component("judge", judge, "--judge")
        return ChosenJudge(judge_name(spec, rules), spec)
    uses = options.benchmarks if options else []
    own = next((use.judge for use in uses if use.result_name == stored.folder.name), None)
    said = own or (options and options.judge)
    if not said and before is not None and before.version == _STORED:
        return ChosenJudge(before, None)
    spec = said or protocol_judge(rules, stored.benchmark.folder)
    return ChosenJudge(judge_name(spec, rules), spec)


def first_answers(stored: StoredAnswers, limit: int | None) -> dict[str, list[Answer]]:
    """Return the first answers, and those that are judged together with one of them."""
    if limit is None:
        return stored.answers
    found = {}
    for control, answers in stored.answers.items():
        companions = {answer.companion for answer in answers}
        alone = [answer for answer in answers if answer.id not in companions][:limit]
        wanted = {key for answer in alone for key in (answer.id, answer.companion)}
        found[control] = [answer for answer in answers if answer.id in wanted]
    return found


def _conditions(stored: StoredAnswers, judge: ChosenJudge) -> Conditions:
    before = stored.before
    others = {key: text for key, text in before.components.items() if not key.startswith("judge/")}
    said = before.model_dump(include=set(Conditions.model_fields))
    return Conditions.model_validate(
        {**said, "judge": judge.name, "components": {**others, **versions(origins(judge.spec))}}
    )


def _unwritten(conditions: Conditions, scores: Mapping[str, Any]) -> BenchmarkResult:
    said = conditions.model_dump(include=set(Conditions.model_fields))
    return BenchmarkResult.model_validate({**said, **scores, "spec_sha256": ""})
