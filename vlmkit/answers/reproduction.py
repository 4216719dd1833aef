"""Published numbers made again, from a system's own answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from vlmkit.answers.answer_formats import ReadOptions, read_answer_files, read_vocabulary
from vlmkit.answers.entry_questions import entry_questions
from vlmkit.answers.imported import ImportedAnswer
from vlmkit.answers.matching import attach_verdicts, match_answers
from vlmkit.answers.published import PublishedCounts, PublishedList, PublishedNumber, PublishedPair, PublishedSystem
from vlmkit.answers.stored_verdicts import StoredVerdicts, as_answers, request_of_each
from vlmkit.api.document import Document, template_fields
from vlmkit.api.judge import Judge, JudgeSpec, Unscored, Verdict
from vlmkit.api.judge_prompt import JudgeRequest
from vlmkit.benchmarks.entries import Benchmark, find_benchmark
from vlmkit.benchmarks.protocols import Aggregate, Rules, build_rules
from vlmkit.errors import DataError
from vlmkit.evaluation.scores import JudgeAll, ScoredAnswer, Values, metric_values, score_answers, summarize
from vlmkit.json_files import read_json
from vlmkit.spec.loading import read_component

__all__ = ["Reproduced", "reproduce"]

_PERCENT = 100.0
_NAMES = {
    "only_first": "only the first is right",
    "only_second": "only the second is right",
    "difference": "difference",
    "low": "difference, low end",
    "high": "difference, high end",
    "p": "p of McNemar's test",
}


@dataclass(frozen=True)
class Reproduced:
    """A published number beside ours."""

    system: str
    name: str
    """Of the number, for people."""
    published: str
    ours: float
    interval: tuple[float, float] | None = None
    """95%, where it is a score."""

    @property
    def difference(self) -> float:
        """Ours minus the published one."""
        return self.ours - float(self.published)

    @property
    def agrees(self) -> bool:
        """True where ours, rounded to as many decimals, is the published one."""
        decimals = len(self.published.partition(".")[2])
        return abs(self.difference) <= 0.5 * 10**-decimals + 1e-9


class _Scored(NamedTuple):
    answers: list[ScoredAnswer]
    columns: list[dict[str, str]]
    """Of each answer's question."""
    rules: Rules
    cluster: str


def reproduce(published: PublishedList, root: Path) -> list[Reproduced]:
    """Return each number of a list with ours.

    Args:
        published: the list.
        root: the folder with the data, below which its paths are.

    Raises:
        UserError: files are missing or are not what the list says.
    """
    scored = {system.name: _score(published, system, root) for system in published.systems}
    numbers = [
        _number(system.name, number, scored[system.name]) for system in published.systems for number in system.numbers
    ]
    pairs = [one for pair in published.pairs for one in _pair(pair, scored)]
    counts = [one for count in published.counts for one in _counts(count, root)]
    return numbers + pairs + counts


def _score(published: PublishedList, system: PublishedSystem, root: Path) -> _Scored:
    words = read_vocabulary(root / system.vocabulary) if system.vocabulary else ()
    options = ReadOptions(column=system.column, vocabulary=words)
    answers = read_answer_files([root / name for name in system.answers], options)
    judged = read_answer_files([root / name for name in system.verdicts], options) if system.verdicts else None
    used = attach_verdicts(answers, judged, take_judged=system.take_judged)
    where = f"{published.title}, {system.name}"
    entry = find_benchmark(published.benchmark or "")
    documents = _documents(published, system, entry, used.answers, root)
    matched = match_answers(used.answers, documents, where, partial=system.partial)
    rules = build_rules(entry.protocol(system.protocol), entry.folder)
    records = as_answers(matched.answered)
    verdicts = {one.document.id: one.verdict for one in matched.answered if one.verdict is not None}
    judge = _judge(
        system.judge, rules, lambda name: StoredVerdicts(name, verdicts, request_of_each(records, rules)), where
    )
    cluster = entry.cluster if published.annotations else "group"
    columns = [template_fields(one.document) for one in matched.answered]
    return _Scored(score_answers(records, rules, judge), columns, rules, cluster)


def _documents(
    published: PublishedList, system: PublishedSystem, entry: Benchmark, answers: Sequence[ImportedAnswer], root: Path
) -> list[Document]:
    """Return the questions: of the annotations where they are at hand, else what files of answers say of them."""
    if published.annotations:
        return entry_questions(entry, system.split, root / published.annotations).documents
    if published.documents:
        answers = read_answer_files([root / published.documents])
    return [_own(answer.document, published.letters) for answer in answers]


def _own(document: Document, letters: int) -> Document:
    """A question as a file of answers has it: of no known video, and with options that are known by their letters."""
    group = document.group or document.id
    if not letters:
        return replace(document, group=group)
    options = tuple(chr(ord("A") + number) for number in range(letters))
    if document.answer not in options:
        raise DataError(f"question {document.id}: expected one of {', '.join(options)}, found {document.answer!r}")
    return replace(document, options=options, correct=options.index(document.answer), group=group)


def _judge(name: str | None, rules: Rules, stored: Callable[[str], Judge], where: str) -> JudgeAll:
    """Return who decides: `exact`, another name's stored verdicts, or without a name the protocol's own judge."""
    component = {"type": "exact"} if name == "exact" else rules.protocol.judge if name is None else None

    def judge(requests: Sequence[JudgeRequest]) -> list[Verdict | Unscored]:
        if component is not None:
            spec = read_component("judge", component, where)
            assert isinstance(spec, JudgeSpec)
            asked = spec.build()
        elif name is not None:
            asked = stored(name)
        else:
            raise DataError(f"{where}: {len(requests)} answers need a judge, e.g. {requests[0].answer!r}; name one")
        decided = dict(asked.judge(requests))
        return [decided[number] for number in range(len(requests))]

    return judge


def _number(system: str, number: PublishedNumber, scored: _Scored) -> Reproduced:
    wanted = {column: [value] if isinstance(value, str) else value for column, value in number.where.items()}
    known = dict.fromkeys(column for columns in scored.columns for column in columns)
    if unknown := [column for column in wanted if column not in known]:
        names = ", ".join(known)
        raise DataError(
            f"{system}: its questions have no {unknown[0]!r}; they have: {names}; correct `where` in the list"
        )
    some = [
        one
        for one, columns in zip(scored.answers, scored.columns, strict=True)
        if all(columns.get(column) in values for column, values in wanted.items())
    ]
    if not any(number.metric in one.values for one in some):
        raise DataError(f"{system}: there is no answer with {number.metric} where {number.where}; correct the list")
    name = ", ".join([_name(number), *map(_joined, number.where.values())])
    scale = _PERCENT if number.metric == "accuracy" else 1.0
    counted = [one.values[number.metric] for one in some if number.metric in one.values]
    match number.what:
        case "score" | "mean":
            rules = scored.rules if number.what == "score" else _without_aggregate(scored.rules)
            found = summarize(some, rules, scored.cluster).metrics[number.metric]
            low, high = found.ci95
            return Reproduced(system, name, number.published, scale * found.value, (scale * low, scale * high))
        case "standard-error":
            ours = scale * _standard_error(metric_values(some, number.metric, scored.rules, scored.cluster))
        case "right":
            ours = sum(counted)
        case "questions":
            ours = sum(one.outcome == "scored" for one in some)
        case "contradictions":
            ours = sum(isinstance(one.verdict, Verdict) and one.verdict.contradicts for one in some)
    return Reproduced(system, name, number.published, ours)


def _without_aggregate(rules: Rules) -> Rules:
    return rules._replace(protocol=rules.protocol.model_copy(update={"aggregate": Aggregate()}))


def _standard_error(found: Values) -> float:
    from vlmkit.statistics.clustering import standard_errors

    return standard_errors(found.values, found.clusters, found.strata).clustered


def _name(number: PublishedNumber) -> str:
    metric = number.metric if number.metric != "accuracy" else ""
    what = {"score": "accuracy", "mean": "mean over questions", "standard-error": "standard error, clustered"}
    return f"{what.get(number.what, number.what)}{f' of {metric}' if metric else ''}"


def _joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "+".join(value)


def _pair(pair: PublishedPair, scored: Mapping[str, _Scored]) -> list[Reproduced]:
    from vlmkit.statistics.paired import paired

    first, second = (scored[name] for name in (pair.first, pair.second))
    one, other = (metric_values(some.answers, "accuracy", some.rules, some.cluster) for some in (first, second))
    if one.ids != other.ids:
        raise DataError(f"{pair.first} and {pair.second}: expected answers to the same questions")
    found = paired(one.values, other.values, one.clusters)
    ours = {
        "only_first": len(found.only_first),
        "only_second": len(found.only_second),
        "difference": _PERCENT * found.difference.value,
        "low": _PERCENT * found.difference.low,
        "high": _PERCENT * found.difference.high,
        "p": found.p,
    }
    name = f"{pair.first} against {pair.second}"
    return [Reproduced(name, _NAMES[key], text, ours[key]) for key, text in pair.numbers.items()]


def _counts(counts: PublishedCounts, root: Path) -> list[Reproduced]:
    """A question is then one of `correct` right and `total - correct` wrong ones of its task, without a video."""
    from vlmkit.statistics.intervals import estimate, macro

    found = read_json(root / counts.file, "{task: {correct, total}}")
    values, tasks = [], []
    for task in counts.tasks:
        right, total = found[task]["correct"], found[task]["total"]
        values += [1.0] * right + [0.0] * (total - right)
        tasks += [task] * total
    single = list(range(len(values)))
    sums = {"micro": estimate(values, single), "macro": macro(values, tasks, single)}
    return [
        Reproduced(counts.name, f"accuracy, {name} average", getattr(counts, name), _PERCENT * ours.value,
                   (_PERCENT * ours.low, _PERCENT * ours.high))
        for name, ours in sums.items()
    ]  # fmt: skip
