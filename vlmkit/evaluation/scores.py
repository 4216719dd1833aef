"""From answers to metrics: the values of single questions, their means with 95% intervals, overall and by type."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

from vlmkit.api.document import Document
from vlmkit.api.evaluator import Evaluator
from vlmkit.api.judge import Unscored, Verdict
from vlmkit.evaluation.records import Answer, Metric, Question, Scores, TypeScores

__all__ = ["Estimate", "estimate", "score_answer", "score_answers", "wilson"]

_LEVEL = 0.975
_Z = NormalDist().inv_cdf(_LEVEL)

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


class Estimate(NamedTuple):
    """A mean with its 95% interval."""

    value: float
    low: float
    high: float


def wilson(share: float, n: float) -> tuple[float, float]:
    """Wilson's 95% score interval of a proportion `share` (0..1) seen in `n` independent trials; `n` need not be whole.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    z2 = _Z * _Z
    center = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return max(0.0, min(center - half, share)), min(1.0, max(center + half, share))


def estimate(
    values: Sequence[float], videos: Sequence[Hashable], lowest: float = 0.0, highest: float = 1.0
) -> Estimate:
    """The mean of `values` (each between `lowest` and `highest`) and its 95% interval, for a population of videos.

    Answers to questions about one video resemble each other, so n questions are worth fewer independent ones. The
    interval is Wilson's, with the share p = (mean - lowest) / (highest - lowest) and the effective number of questions

        n* = max(n p (1 - p) / s^2 / max(1, deff) * (t(n-1) / t(m-1))^2,  n^2 / sum(n_v^2))

    with s^2 the variance of the rescaled values (for right-or-wrong values p (1 - p)), t(d) the 97.5% quantile of
    Student's distribution with d degrees of freedom, m videos of n_v questions each, and the design effect

        deff = [m / (m-1) * sum over videos of (sum of (x - p))^2 / n^2] / [s^2 / (n-1)]

    the cluster-robust variance of the mean over that of independent questions. The floor of n* is its value when all
    answers about a video are alike (Kish): nothing can be worse. It also holds where no variance can be seen, with one
    video or all values equal. With one question per video this is Wilson's interval of n.

    Sources: Korn and Graubard, Survey Methodology 24 (1998), for n* and its t correction; Miller, arXiv:2411.00640, for
    the clustered variance of evaluations; Kish, Survey Sampling (1965), for the floor.
    """
    if len(values) != len(videos) or not values:
        raise ValueError(f"expected as many values as videos and at least one, found {len(values)} and {len(videos)}")
    mean = math.fsum(values) / len(values)
    span = highest - lowest
    share = min(1.0, max(0.0, (mean - lowest) / span))
    low, high = wilson(share, _effective([(value - mean) / span for value in values], videos, share))
    return Estimate(mean, lowest + span * low, lowest + span * high)


def _effective(deviations: Sequence[float], videos: Sequence[Hashable], share: float) -> float:
    """n*: how many independent right-or-wrong questions tell as much. `deviations` are from the mean, rescaled."""
    sums: dict[Hashable, float] = defaultdict(float)
    sizes: dict[Hashable, int] = defaultdict(int)
    for deviation, video in zip(deviations, videos, strict=True):
        sums[video] += deviation
        sizes[video] += 1
    n, m = len(deviations), len(sizes)
    floor = n * n / sum(size * size for size in sizes.values())
    variance = math.fsum(deviation * deviation for deviation in deviations) / n
    if m == 1 or variance < 1e-12:
        return floor
    clustered = m / (m - 1) * math.fsum(total * total for total in sums.values()) / (n * n)
    effect = max(1.0, clustered / (variance / (n - 1)))
    nominal = n * share * (1 - share) / variance
    return max(floor, nominal / effect * (_t(n - 1) / _t(m - 1)) ** 2)


def _t(degrees: int) -> float:
    """Return the 97.5% quantile of Student's t."""
    from scipy.special import stdtrit  # type: ignore[import-untyped]

    return float(stdtrit(degrees, _LEVEL))
