"""From answers to scores: how each is read, what a judge is asked, values of questions, and their aggregates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NamedTuple

from vlmkit.api.document import Document, template_fields
from vlmkit.api.extractor import Reading
from vlmkit.api.judge import Unscored, Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import DataError, did_you_mean, shortened
from vlmkit.evaluation.answers import Answer
from vlmkit.evaluation.records import Metric, Scores, TypeScores

__all__ = [
    "JudgeAll",
    "ReadAnswers",
    "ScoredAnswer",
    "aggregate",
    "by_label",
    "cluster_of",
    "is_error",
    "judge_request",
    "metric_values",
    "primary_metric",
    "read_with_rules",
    "score_answers",
    "score_sets",
    "summarize",
]

JudgeAll = Callable[[Sequence[JudgeRequest]], Sequence[Verdict | Unscored]]
_REASONS = 5
"""Of unscored answers, which a result lists."""
Outcome = Literal["scored", "skipped", "unscored", "dropped", "companion"]


@dataclass(frozen=True)
class ScoredAnswer:
    """One answer with all that its score comes from."""

    answer: Answer
    document: Document
    outcome: Outcome
    """`scored`; or why it does not count: the question was `skipped`, the judge failed (`unscored`), the protocol
    leaves such an answer out (`dropped`), or it is judged together with that to another question (`companion`)."""
    reading: Reading | None
    verdict: Verdict | Unscored | None
    """None where no judge was needed."""
    values: Mapping[str, float]
    """By metric, of those that the answer says something about; empty unless it is scored."""

    @property
    def is_right(self) -> bool | None:
        """True where it counts as right; None where it does not count, or the benchmark knows no right and wrong."""
        return self.values["accuracy"] >= 0.5 if "accuracy" in self.values else None


class ReadAnswers(NamedTuple):
    """Answers as rules read them, and what is asked about those that are left to a judge."""

    answers: Sequence[Answer]
    documents: Sequence[Document]
    readings: Sequence[Reading | None]
    """None where there is nothing to read: the question was skipped, or is judged together with another one."""
    companions: Set[str]
    """Ids of the questions that are judged together with another one."""
    requests: Mapping[str, JudgeRequest]
    """By id of the question."""


def read_with_rules(answers: Sequence[Answer], rules: Rules) -> ReadAnswers:
    """Read all answers as the rules say."""
    by_id = {answer.id: answer for answer in answers}
    companions = {answer.companion for answer in answers if answer.companion}
    documents = [answer.document for answer in answers]
    readings = [
        None if answer.prediction is None or answer.id in companions
        else rules.of(document).evaluator.read(document, answer.prediction)
        for answer, document in zip(answers, documents, strict=True)
    ]  # fmt: skip
    requests = {
        document.id: judge_request(document, answer.prediction, rules, by_id.get(document.companion))
        for answer, document, reading in zip(answers, documents, readings, strict=True)
        if reading is not None and reading.state == "judge" and answer.prediction is not None
    }
    return ReadAnswers(answers, documents, readings, companions, requests)


def score_answers(answers: Sequence[Answer], rules: Rules, judge: JudgeAll) -> list[ScoredAnswer]:
    """Read all answers, have those judged that need it, and give each its values."""
    [scored] = score_sets([answers], rules, judge)
    return scored


def score_sets(sets: Sequence[Sequence[Answer]], rules: Rules, judge: JudgeAll) -> list[list[ScoredAnswer]]:
    """Score several sets of answers, for which the judge is asked in one go."""
    every = [read_with_rules(answers, rules) for answers in sets]
    requests = [request for read in every for request in read.requests.values()]
    said = iter(judge(requests) if requests else ())
    of_each = [dict(zip(read.requests, islice(said, len(read.requests)), strict=True)) for read in every]
    return [_scored(read, verdicts, rules) for read, verdicts in zip(every, of_each, strict=True)]


def _scored(read: ReadAnswers, verdicts: Mapping[str, Verdict | Unscored], rules: Rules) -> list[ScoredAnswer]:
    return [
        _score(answer, document, reading, verdicts.get(document.id), rules, read.companions)
        for answer, document, reading in zip(read.answers, read.documents, read.readings, strict=True)
    ]


def judge_request(document: Document, prediction: str, rules: Rules, companion: Answer | None) -> JudgeRequest:
    """Return what a judge is asked about one answer."""
    prompt = rules.of(document).judge_prompt
    wanted = prompt.fields if prompt else frozenset()  # what the prompt does not show makes no request another one
    return JudgeRequest(
        question=document.question,
        references=document.references,
        answer=prediction,
        options=document.options if "options" in wanted else (),
        prompt=prompt,
        other_question=companion.question if companion else "",
        other_answer=(companion.prediction or "") if companion else "",
        tags={name: text for name, text in document.tags.items() if name in wanted},
    )


def _score(
    answer: Answer,
    document: Document,
    reading: Reading | None,
    verdict: Verdict | Unscored | None,
    rules: Rules,
    companions: Set[str],
) -> ScoredAnswer:
    def left_out(outcome: Outcome) -> ScoredAnswer:
        return ScoredAnswer(answer, document, outcome, reading, verdict, {})

    if document.id in companions:
        return left_out("companion")
    if reading is None:
        return left_out("skipped")
    if isinstance(verdict, Unscored):
        return left_out("unscored")
    if reading.state == "dropped" or not document.references:
        return left_out("dropped")
    given = rules.of(document).evaluator.score(document, reading, verdict)
    values = {name: value for name in rules.protocol.metrics if (value := given[name]) is not None}
    return ScoredAnswer(answer, document, "scored", reading, verdict, values)


def _label_of(document: Document, column: str) -> str:
    """Return what a document has in a column of its annotations. A DataError where there is no such column."""
    columns = template_fields(document)
    if column not in columns:
        raise DataError(
            f"question {document.id!r} has no {column!r}, by which scores are told apart; "
            f"{did_you_mean(column, columns)}it has: {', '.join(columns)}; correct benchmark.yaml"
        )
    return columns[column]


def cluster_of(document: Document, cluster: str) -> str:
    """Return the cluster of a document: its video or its group."""
    return document.group if cluster == "group" else document.video


def is_error(metric: str) -> bool:
    """Return whether lower values of a metric are better."""
    return metric.endswith("error")


def primary_metric(metrics: Iterable[str]) -> str | None:
    """Return the metric that stands for a benchmark: accuracy where there is one, else the first."""
    names = list(metrics)
    return "accuracy" if "accuracy" in names else next(iter(names), None)


class Values(NamedTuple):
    """The values of one metric, ready to be summed up: of questions, or of groups of them."""

    ids: list[str]
    """Of the questions, or of the groups."""
    values: list[float]
    strata: list[str] | None
    """What the mean is a mean of means over."""
    clusters: list[Hashable]


def metric_values(scored: Sequence[ScoredAnswer], metric: str, rules: Rules, cluster: str) -> Values:
    """Return the values of one metric as the protocol's aggregate takes them."""
    from vlmkit.statistics.intervals import all_right

    counted = [one for one in scored if metric in one.values]
    values = [one.values[metric] for one in counted]
    how = rules.protocol.aggregate
    strata = [_label_of(one.document, how.over) for one in counted] if how.over else [""] * len(counted)
    clusters = [cluster_of(one.document, cluster) for one in counted]
    ids = [one.document.id for one in counted]
    if how.all_right and counted:
        ids = [one.document.group for one in counted]
        values, ids, strata, clusters = all_right(values, ids, ids, strata, clusters)
    return Values(ids, values, strata if how.over else None, list(clusters))


def aggregate(scored: Sequence[ScoredAnswer], metric: str, rules: Rules, cluster: str) -> float:
    """Return one metric of at least one answer, aggregated as the protocol says."""
    from vlmkit.statistics.clustering import mean_of

    some = metric_values(scored, metric, rules, cluster)
    return mean_of(some.values, some.strata)


def summarize(
    scored: Sequence[ScoredAnswer], rules: Rules, cluster: str = "video", break_down: Sequence[str] = ()
) -> Scores:
    """Return counts and aggregates with their 95% intervals: of all questions, by type, and by further columns."""
    outcomes = Counter(one.outcome for one in scored)
    states = Counter(one.reading.state for one in scored if one.reading is not None)
    reasons = Counter(_brief(one.verdict.reason) for one in scored if isinstance(one.verdict, Unscored))
    contradictions = sum(isinstance(one.verdict, Verdict) and one.verdict.contradicts for one in scored)
    over = rules.protocol.aggregate.over
    columns = dict.fromkeys(("type", *([over] if over else []), *break_down))
    parts = {column: _by(scored, column, rules, cluster) for column in columns}
    said: dict[str, Any] = {
        "skipped": outcomes["skipped"],
        "unscored": outcomes["unscored"],
        "by_type": parts.pop("type"),
        **dict(_aggregate(scored, rules, cluster)),
    }
    seldom: dict[str, Any] = {
        "unreadable": states["unreadable"],
        "dropped": outcomes["dropped"],
        "drawn": states["random"],
        "contradictions": contradictions,
        "by": parts,
        "unscored_reasons": dict(reasons.most_common(_REASONS)),
    }
    return Scores(**said, **{name: value for name, value in seldom.items() if value})


def _brief(reason: str) -> str:
    return shortened(reason.partition("\n")[0], 200)


def by_label(scored: Sequence[ScoredAnswer], column: str) -> dict[str, list[ScoredAnswer]]:
    """Return the answers by what their questions have in a column of the annotations, sorted.

    Questions that have nothing there are left out. A DataError where none has such a column.
    """
    parts: dict[str, list[ScoredAnswer]] = defaultdict(list)
    for one in scored:
        parts[template_fields(one.document).get(column, "")].append(one)
    if scored and not any(column in template_fields(one.document) for one in scored):
        _label_of(scored[0].document, column)
    return {name: parts[name] for name in sorted(parts) if name}


def _by(scored: Sequence[ScoredAnswer], column: str, rules: Rules, cluster: str) -> dict[str, TypeScores]:
    judged = [one for one in scored if one.outcome != "companion"]
    return {name: _aggregate(some, rules, cluster) for name, some in by_label(judged, column).items()}


def _aggregate(scored: Sequence[ScoredAnswer], rules: Rules, cluster: str) -> TypeScores:
    from vlmkit.statistics.intervals import estimate, macro

    metrics = {}
    for name, (lowest, highest) in rules.ranges().items():
        some = metric_values(scored, name, rules, cluster)
        if not some.values:
            continue
        found = (
            estimate(some.values, some.clusters, lowest, highest)
            if some.strata is None
            else macro(some.values, some.strata, some.clusters, lowest, highest)
        )
        metrics[name] = Metric(value=found.value, ci95=[found.low, found.high])
    return TypeScores(n=sum(one.outcome == "scored" for one in scored), metrics=metrics)
