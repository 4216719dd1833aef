"""The rows of a study by their scores, how stable that order is, and whether another study orders them alike.

Letters: R rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vlmkit.errors import DataError, RunError, UserError, did_you_mean
from vlmkit.evaluation.records import Metric
from vlmkit.formatting import plural
from vlmkit.statistics.ranking import RankAgreement, Ranking, compare_rankings, rank_rows, rank_settings
from vlmkit.study.paired_rows import mean_of_row, score_interval
from vlmkit.study.pareto import pareto_front
from vlmkit.study.rows import Study
from vlmkit.study.run_values import MeasuredColumn, RunValues, measured_columns
from vlmkit.study.study_folder import StudyFolder
from vlmkit.summary import Summary

__all__ = ["ComparedStudies", "RankedRow", "StudyRanking", "compare_studies", "rank_study"]


@dataclass(frozen=True)
class RankedRow:
    """One row of a study."""

    name: str
    label: str
    seeds: int
    score: Metric
    rank: int
    rank_ci95: tuple[int, int]
    summary: Summary | None
    """Its costs; None where no run has kept them."""
    on_front: bool
    """True where no other row has a score as high with as few parameters, tokens and operations."""


@dataclass(frozen=True)
class StudyRanking:
    """The rows in one column, the best first."""

    study: Study
    measured: MeasuredColumn
    rows: tuple[RankedRow, ...]
    above: tuple[tuple[float, ...], ...]
    """(R, R): how often a row is above another one, were questions and seeds drawn anew; in the order of `rows`."""
    significant: int
    """Pairs whose difference is significant: its 95% interval leaves out 0."""

    @property
    def pairs(self) -> int:
        """R (R-1) / 2."""
        return len(self.rows) * (len(self.rows) - 1) // 2


@dataclass(frozen=True)
class ComparedStudies:
    """The same rows in two studies."""

    first: StudyRanking
    """Of the rows that both have."""
    second: StudyRanking
    agreement: RankAgreement
    same_questions: bool


def rank_study(study: Study, folder: StudyFolder, column: str | None = None) -> StudyRanking:
    """Rank what has been measured of a study so far, in one column of its table: by default the first.

    Raises:
        RunError: fewer than two rows were measured.
        UserError: there is no such column.
    """
    measured = _column(study, folder, column)
    rows = list(measured.rows)
    keys = _common(study, measured, rows)
    ranking = rank_rows(_values(measured, rows, keys), *_groups(study, measured, keys), pooled=_is_pooled(study))
    return _ranked(study, folder, measured, rows, ranking)


def compare_studies(
    first: Study,
    first_folder: StudyFolder,
    second: Study,
    second_folder: StudyFolder,
    column: str | None = None,
) -> ComparedStudies:
    """Compare the order of the rows that two studies share, by their names, e.g. of a short and a long training.

    Raises:
        RunError: they have fewer than two measured rows in common.
        UserError: there is no such column.
    """
    one, other = _column(first, first_folder, column), _column(second, second_folder, column)
    rows = [row for row in one.rows if row in other.rows]
    if len(rows) < 2:
        raise RunError(
            f"{first.file} and {second.file}: expected at least two rows of the same names that were measured in both, "
            f"found {', '.join(rows) or 'none'}; of the first: {', '.join(one.rows)}; of the second: "
            f"{', '.join(other.rows)}"
        )
    keys, other_keys = _common(first, one, rows), _common(second, other, rows)
    values, other_values = _values(one, rows, keys), _values(other, rows, other_keys)
    groups, other_groups = _groups(first, one, keys), _groups(second, other, other_keys)
    pooled = _is_pooled(first) and _is_pooled(second)
    same = (keys, groups) == (other_keys, other_groups)
    if same:
        rankings = rank_settings([values, other_values], *groups, pooled=pooled)
    else:
        rankings = [rank_rows(values, *groups, pooled=pooled), rank_rows(other_values, *other_groups, pooled, seed=1)]
    return ComparedStudies(
        _ranked(first, first_folder, one, rows, rankings[0]),
        _ranked(second, second_folder, other, rows, rankings[1]),
        compare_rankings(rankings[0], rankings[1]),
        same,
    )


def _column(study: Study, folder: StudyFolder, column: str | None) -> MeasuredColumn:
    found = {one.name: one for one in measured_columns(study, folder)}
    if not found:
        raise RunError(f"{folder.path}: nothing has been measured yet; `vlmkit ablate {study.file}` runs the study")
    if column is not None and column not in found:
        hint = did_you_mean(column, found)
        raise UserError(f"{folder.path}: no column is called {column!r}; {hint}columns: {', '.join(found)}")
    measured = found[column] if column is not None else next(iter(found.values()))
    if len(measured.rows) < 2:
        raise RunError(
            f"{folder.path}: expected at least two measured rows, found {next(iter(measured.rows))} alone; "
            f"`vlmkit ablate {study.file}` goes on"
        )
    return measured


def _common(study: Study, measured: MeasuredColumn, rows: Sequence[str]) -> list[str]:
    """Return the questions that all runs of these rows have a value of, at least two clusters of them."""
    runs = [one for row in rows for one in measured.rows[row].values()]
    keys = sorted(set.intersection(*(set(one.of) for one in runs)))
    if len({runs[0].clusters[key] for key in keys}) < 2:
        raise DataError(
            f"{study.file}: {measured.name}: expected questions about at least two videos that all runs answered, "
            f"found {plural(len(keys), 'question')}; `vlmkit eval` answers what is missing"
        )
    return keys


def _values(measured: MeasuredColumn, rows: Sequence[str], keys: Sequence[str]) -> list[list[list[float]]]:
    return [[[one.of[key] for key in keys] for one in measured.rows[row].values()] for row in rows]


def _groups(study: Study, measured: MeasuredColumn, keys: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Return the clusters and the strata of the questions."""
    first: RunValues = next(iter(next(iter(measured.rows.values())).values()))
    strata = None if first.strata is None else [first.strata[key] for key in keys]
    return [first.clusters[key] for key in keys], strata


def _is_pooled(study: Study) -> bool:
    return study.spec.seed_variance == "pooled"


def _ranked(
    study: Study, folder: StudyFolder, measured: MeasuredColumn, rows: Sequence[str], ranking: Ranking
) -> StudyRanking:
    import numpy as np

    order = sorted(range(len(rows)), key=lambda place: (ranking.ranks[place], place))
    summaries = {row: folder.composition(study.runs_of(row)) for row in rows}
    front = _front(rows, ranking.scores, summaries)
    labels = {row.name: row.label for row in study.rows}
    pooled = measured.seed_variance() if _is_pooled(study) else None
    ranked = []
    for place in order:
        row, runs = rows[place], list(measured.rows[rows[place]].values())
        interval = score_interval(study.spec, mean_of_row(runs, pooled), runs, measured.bounds)
        ranked.append(
            RankedRow(
                name=row,
                label=labels[row],
                seeds=len(runs),
                score=Metric(value=ranking.scores[place], ci95=interval),
                rank=ranking.ranks[place],
                rank_ci95=ranking.rank_intervals[place],
                summary=summaries[row],
                on_front=row in front,
            )
        )
    above = ranking.above[np.ix_(order, order)].tolist()
    significant = int(np.count_nonzero(np.triu(ranking.significant, 1)))
    return StudyRanking(study, measured, tuple(ranked), tuple(map(tuple, above)), significant)


def _front(rows: Sequence[str], scores: Sequence[float], summaries: Mapping[str, Summary | None]) -> set[str]:
    """Return the rows on the Pareto front of score, parameters, tokens and operations."""
    known = [(row, score, summary) for row, score in zip(rows, scores, strict=True) if (summary := summaries[row])]
    points = [(-score, one.visual_parameters, one.tokens["square"], one.macs) for _, score, one in known]
    return {known[place][0] for place in pareto_front(points)}
