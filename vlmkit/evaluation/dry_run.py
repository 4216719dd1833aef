"""Costs of an evaluation and of its judging, told before it begins: nothing is asked or written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from vlmkit.api.judge import JudgeSpec
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.evaluation.answers import Answer
from vlmkit.evaluation.evaluate import questions_of_files
from vlmkit.evaluation.fingerprint import judge_name, model_sha256
from vlmkit.evaluation.judge_again import StoredAnswers, choose_judge, first_answers
from vlmkit.evaluation.judge_costs import judging_cost
from vlmkit.evaluation.judging import VerdictStore
from vlmkit.evaluation.questions import PreparedBenchmark, judge_of
from vlmkit.evaluation.records import JudgeName
from vlmkit.evaluation.scores import read_with_rules
from vlmkit.evaluation.shards import answers_so_far
from vlmkit.formatting import plural
from vlmkit.run_folder import RunFolder
from vlmkit.spec.evaluation import EvaluationSpec
from vlmkit.spec.experiment import ExperimentSpec

__all__ = ["cost_of_evaluation", "cost_of_judging"]


def cost_of_evaluation(benchmark: PreparedBenchmark, spec: ExperimentSpec, run: RunFolder) -> str:
    """Return how many questions of a benchmark are asked, and what a judge is asked about the answers.

    Where there is no answer yet, the reference answer stands for it.
    """
    sets, _ = questions_of_files(benchmark, spec, run, model_sha256(spec, run))
    total, unanswered = 0, 0
    known: list[JudgeRequest] = []
    coming: list[JudgeRequest] = []
    for questions, file in sets:
        there = answers_so_far(file)
        answered = {
            question.document.id: answer
            for question in questions
            if (answer := there.get(question.document.id)) is not None
            and answer.asked == question.fingerprint
            and answer.prediction is not None
        }
        answers = [
            answered.get(question.document.id) or Answer.to(question, question.document.answer)
            for question in questions
        ]
        for key, request in read_with_rules(answers, benchmark.rules).requests.items():
            (known if key in answered else coming).append(request)
        total, unanswered = total + len(questions), unanswered + len(questions) - len(answered)
    asked = f"{plural(total, 'question')}, {unanswered:,} of them to be asked"
    judge = judge_of(spec.evaluation, benchmark)
    if judge is None:
        return f"{asked}; no judge is needed"
    name = judge_name(judge, benchmark.rules)
    return f"{asked}; {_judging(run.evaluation(benchmark.name), name, judge, known, coming)}"


def cost_of_judging(
    stored: StoredAnswers, options: EvaluationSpec | None, judge: str | dict[str, Any] | None, limit: int | None = None
) -> str:
    """Return what `vlmkit.evaluation.judge_again.judge_again` asks with the same arguments, and what that costs."""
    chosen = choose_judge(stored, options, judge)
    read = [read_with_rules(answers, stored.rules) for answers in first_answers(stored, limit).values()]
    requests = [request for some in read for request in some.requests.values()]
    return _judging(stored.folder, chosen.name, chosen.spec, requests)


def _judging(
    folder: Path,
    name: JudgeName,
    judge: JudgeSpec | None,
    known: Sequence[JudgeRequest],
    coming: Sequence[JudgeRequest] = (),
) -> str:
    """Return the costs of requests about answers that are there, and of those that stand for answers to come."""
    known, coming = (some if name.prompts else [request.plain() for request in some] for some in (known, coming))
    with closing(VerdictStore(folder / "verdicts.sqlite", read_only=True)) as store:
        new = [*store.unjudged(name.name, name.version, known), *coming]
    asked = f"{plural(len(known) + len(coming), 'answer')} to judge, {len(new):,} of them new"
    if judge is None or not new:
        return asked
    return f"{asked}; {judging_cost(name.name, judge.build(), new) or 'at no cost'}"
