"""From answers to metrics: the values of single questions, their means with 95% intervals, overall and by type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from vlmkit.api.document import Document
from vlmkit.api.evaluator import Evaluator
from vlmkit.api.judge import Unscored, Verdict
from vlmkit.evaluation.records import Answer, Metric, Question, Scores, TypeScores
from vlmkit.statistics.intervals import estimate

__all__ = ["score_answer", "score_answers"]

JudgeAnswer = Callable[[Document, str], Verdict | Unscored]
"""A document and the model's answer, to a verdict."""


_Scored = tuple[str, Mapping[str, float]]
"""The video that was asked about, and the values of the answer by metric."""


def score_answers(
    questions: Iterable[Question],
    answers: Mapping[str, Answer],
    judge: JudgeAnswer,
    evaluator: Evaluator,
    metrics: Sequence[str],
) -> Scores:
    """Judge and score the answers to some questions and sum them up; `metrics` names those of the evaluator to use."""
    scored: list[_Scored] = []
    types: dict[str, list[_Scored]] = defaultdict(list)
    skipped = unscored = 0
    for question in questions:
        document, prediction = question.document, answers[question.document.id].prediction
        of_type = types[document.type]  # it is listed even if none of its questions is scored
        if prediction is None:
            skipped += 1
        elif values := score_answer(evaluator, metrics, document, judge(document, prediction)):
            scored.append((document.video, values))
            of_type.append((document.video, values))
        else:
            unscored += 1
    ranges = {name: evaluator.metrics()[name] for name in metrics}
    by_type = {name: _summarize(types[name], ranges) for name in sorted(types)}
    return Scores(skipped=skipped, unscored=unscored, by_type=by_type, **dict(_summarize(scored, ranges)))


def score_answer(
    evaluator: Evaluator, metrics: Sequence[str], document: Document, verdict: Verdict | Unscored
) -> dict[str, float]:
    """Return the value of one answer by metric; nothing where the judge failed on it."""
    if isinstance(verdict, Unscored):
        return {}
    values = evaluator.score(document, verdict)
    return {name: values[name] for name in metrics}


def _summarize(scored: Sequence[_Scored], ranges: Mapping[str, tuple[float, float]]) -> TypeScores:
    """Return counts and means. `ranges` has the lowest and highest value of each metric."""
    videos = [video for video, _ in scored]
    metrics = {}
    for name, (lowest, highest) in ranges.items() if scored else ():
        mean, low, high = estimate([values[name] for _, values in scored], videos, lowest, highest)
        metrics[name] = Metric(value=mean, ci95=[low, high])
    return TypeScores(n=len(scored), metrics=metrics)
