"""Judges on the same answers: how far they agree, what each makes of the score, and one judge against human labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from vlmkit.api.judge import Verdict
from vlmkit.benchmarks.protocols import Rules
from vlmkit.errors import DataError, as_written, did_you_mean, shown
from vlmkit.evaluation.finished import FinishedEvaluation, choose_judges
from vlmkit.evaluation.records import Scores
from vlmkit.evaluation.rescoring import rescore
from vlmkit.evaluation.scores import ScoredAnswer, cluster_of, summarize
from vlmkit.files import expand_path, read_text

if TYPE_CHECKING:
    from vlmkit.statistics.agreement import Agreement, Confusion, Level
    from vlmkit.statistics.calibration import Calibration

__all__ = ["Disagreement", "HumanLabels", "Judged", "JudgesCompared", "compare_judges", "judged_by", "read_labels"]

Rated = Literal["labels", "scores"]
_LABELS = {
    **dict.fromkeys(("right", "correct", "yes", "true", "1"), True),
    **dict.fromkeys(("wrong", "incorrect", "no", "false", "0"), False),
}


@dataclass(frozen=True)
class Judged:
    """All answers with the verdicts of one judge."""

    name: str
    scored: Sequence[ScoredAnswer]
    rules: Rules
    cluster: str

    def scores(self, ids: Container[str] | None = None) -> Scores:
        """Return the scores of all answers, or of those to the questions of these ids."""
        some = [one for one in self.scored if ids is None or one.document.id in ids]
        return summarize(some, self.rules, self.cluster)

    @property
    def counted(self) -> set[str]:
        """Ids of the questions that are scored with this judge."""
        return {one.document.id for one in self.scored if one.outcome == "scored"}

    @property
    def labels(self) -> list[str | None]:
        """Return the judge's label of each answer; None where it said neither right nor wrong."""
        said = (one.correct if one else None for one in self.verdicts)
        return [None if correct is None else "right" if correct else "wrong" for correct in said]

    @property
    def numbers(self) -> list[float | None]:
        """The score that the judge gave each answer, None where it gave none."""
        return [one.score if one else None for one in self.verdicts]

    @property
    def verdicts(self) -> list[Verdict | None]:
        """The verdict on each answer, None where there is none."""
        return [one.verdict if isinstance(one.verdict, Verdict) else None for one in self.scored]


class Disagreement(NamedTuple):
    """An answer on which judges part."""

    answer: ScoredAnswer
    said: Mapping[str, Verdict | None]
    """By judge."""


@dataclass(frozen=True)
class JudgesCompared:
    """Judges on the same answers."""

    agreement: Mapping[Rated, Agreement]
    """Of their labels and of their scores, as far as they gave any."""
    confusion: Mapping[tuple[str, str], Confusion]
    """For each pair of judges; of their labels, or where there are none of their scores."""
    disagreements: Sequence[Disagreement]
    """In labels, or where there are none in scores."""


def judged_by(found: FinishedEvaluation, said: Sequence[str] = ()) -> list[Judged]:
    """Return the answers as each judge scores them: those of these names, or all whose verdicts are stored.

    A DataError where rules alone decide, or there is no such judge.
    """
    rules = found.rules()
    if not rules.judged:
        raise DataError(f"{found.folder}: protocol {rules.protocol.label} leaves no answer to a judge")
    stored = found.judges()
    chosen = choose_judges(stored, said, found.folder) if said else stored
    if not chosen:
        raise DataError(f"{found.folder}: there are no verdicts; `vlmkit judge` asks for them")
    return [
        Judged(str(name), rescore(found.folder, found.answers, rules, name), rules, found.benchmark.cluster)
        for name in chosen
    ]


def compare_judges(judges: Sequence[Judged]) -> JudgesCompared:
    """Compare judges on the answers that two or more have judged. A DataError where there are none."""
    from vlmkit.statistics.agreement import agreement, confusion

    clusters = _clusters(judges[0].scored, judges[0].cluster)
    ratings: dict[Rated, list[Sequence[str | float | None]]] = {
        "labels": [one.labels for one in judges],
        "scores": [one.numbers for one in judges],
    }
    levels: dict[Rated, Level] = {"labels": "nominal", "scores": "interval"}
    given = {kind: agreement(some, levels[kind], clusters) for kind, some in ratings.items()}
    found = {kind: one for kind, one in given.items() if one.answers}
    if not found:
        raise DataError(f"no two of these judges have judged the same answer: {', '.join(one.name for one in judges)}")
    main = next(iter(found))
    pairs = combinations(zip([one.name for one in judges], ratings[main], strict=True), 2)
    verdicts = {one.name: one.verdicts for one in judges}
    return JudgesCompared(
        found,
        {(a, b): confusion(one, other) for (a, one), (b, other) in pairs},
        [
            Disagreement(judges[0].scored[place], {name: some[place] for name, some in verdicts.items()})
            for place in found[main].disagreements
        ],
    )


def _clusters(scored: Sequence[ScoredAnswer], cluster: str) -> list[Hashable]:
    return [cluster_of(one.document, cluster) or one.document.id for one in scored]


@dataclass(frozen=True)
class HumanLabels:
    """Labels that people gave to some answers."""

    labels: Mapping[str, bool]
    """By id of the question; true for a right answer."""
    file: Path

    def calibrate(self, judged: Judged) -> tuple[Calibration, int]:
        """Return the judge measured by the labels, and how many of these are about answers that it did not score.

        A DataError where a label is about a question that is not there, or too few are left.
        """
        from vlmkit.statistics.calibration import calibrate

        known = {one.document.id for one in judged.scored}
        if unknown := [key for key in self.labels if key not in known]:
            raise DataError(
                f"{self.file}: {len(unknown):,} of {len(self.labels):,} labels are about questions that are not there, "
                f"e.g. {shown(unknown[0])}; {did_you_mean(unknown[0], known)}correct the ids"
            )
        scored = [one for one in judged.scored if one.is_right is not None]
        human = [self.labels.get(one.document.id) for one in scored]
        used = sum(label is not None for label in human)
        clusters = _clusters(scored, judged.cluster)
        if len({name for name, label in zip(clusters, human, strict=True) if label is not None}) < 2:
            raise DataError(
                f"{self.file}: expected labels of answers about at least two videos that {judged.name} has scored, "
                f"found {used:,} labels about fewer"
            )
        found = calibrate([bool(one.is_right) for one in scored], human, clusters)
        return found, len(self.labels) - used


def read_labels(file: Path) -> HumanLabels:
    """Read a csv file with the columns `id` and `label`. A DataError where one is missing or a value is no label."""
    file = expand_path(file)
    text = read_text(file, "human labels, csv with the columns id and label")
    labels: dict[str, bool] = {}
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise DataError(f"{file}: expected csv with the columns id and label; {error}; correct it") from None
    for number, row in enumerate(rows, 2):
        key, label = row.get("id"), row.get("label")
        if key is None or label is None:
            raise DataError(
                f"{file}, row {number}: expected the columns id and label, found {', '.join(map(str, row))}"
            )
        if label.strip().lower() not in _LABELS:
            raise DataError(
                f"{file}, row {number}: expected a label, right or wrong, found {as_written(label)}; correct it"
            )
        if key in labels:
            raise DataError(f"{file}, row {number}: there is a label of {shown(key)} above already; leave one of them")
        labels[key] = _LABELS[label.strip().lower()]
    if not labels:
        raise DataError(f"{file}: expected human labels, csv with the columns id and label, found no row")
    return HumanLabels(labels, file)
