"""Rows of a study as means over seeds and questions, and their differences to the base, with intervals and tests."""

from __future__ import annotations

from collections.abc import Sequence

from vlmkit.errors import DataError
from vlmkit.spec.study import StudySpec
from vlmkit.statistics.intervals import Estimate, estimate, macro
from vlmkit.statistics.seeds import SeededMean, holm, seeded_mean
from vlmkit.statistics.sequential import always_valid, always_valid_p
from vlmkit.study.rows import BASE
from vlmkit.study.run_values import MeasuredColumn, RunValues
from vlmkit.study.table_records import StudyTable

__all__ = ["corrected_p", "differences_to_base", "interval_of", "mean_of_row", "p_of", "score_interval"]


def mean_of_row(own: Sequence[RunValues], pooled: tuple[float, float] | None = None) -> SeededMean:
    """Return the mean of the runs of a row, over the questions that all of them have a value of.

    Args:
        own: one entry per seed.
        pooled: as `seeded_mean` takes it.
    """
    return _mean(own, [[one.of[key] for key in _common(own)] for one in own], _common(own), pooled, None)


def differences_to_base(spec: StudySpec, measured: MeasuredColumn) -> dict[str, SeededMean]:
    """Return, by row, its mean difference to the base on the same questions and with the same seeds.

    Rows that have no seed in common with the base are left out.
    """
    if BASE not in measured.rows:
        return {}
    pooled = measured.seed_variance() if spec.seed_variance == "pooled" else None
    pooled_difference = None if pooled is None else (2 * pooled[0], pooled[1])
    lowest, highest = measured.bounds
    found = {}
    for row, runs in measured.rows.items():
        seeds = [seed for seed in runs if seed in measured.rows[BASE]] if row != BASE else []
        if seeds:
            own, base = ([by_seed[seed] for seed in seeds] for by_seed in (runs, measured.rows[BASE]))
            keys = _common([*own, *base])
            pairs = zip(own, base, strict=True)
            values = [[one.of[key] - other.of[key] for key in keys] for one, other in pairs]
            found[row] = _mean(own, values, keys, pooled_difference, highest - lowest)
    return found


def interval_of(study: StudySpec | StudyTable, mean: SeededMean, lowest: float, highest: float) -> Estimate:
    """Return a mean with its 95% interval: one that holds after every seed at once, where the study may stop early."""
    return always_valid(mean, lowest, highest) if study.stop_when else mean.interval(lowest, highest)


def score_interval(
    study: StudySpec | StudyTable, mean: SeededMean, own: Sequence[RunValues], bounds: tuple[float, float]
) -> list[float]:
    """Return both ends of the interval of a score: at least as wide as that of its questions, which holds near its
    bounds too.

    Args:
        study: says whether rows may stop early.
        mean: of the runs of a row.
        own: these runs.
        bounds: least and highest value of the metric.
    """
    first, keys = own[0], _common(own)
    values = [sum(one.of[key] for one in own) / len(own) for key in keys]
    clusters = [first.clusters[key] for key in keys]
    if first.strata is None:
        interval = estimate(values, clusters, *bounds)
    else:
        interval = macro(values, [first.strata[key] for key in keys], clusters, *bounds)
    _, low, high = interval_of(study, mean, *bounds)
    return [min(low, interval.low), max(high, interval.high)]


def p_of(spec: StudySpec, mean: SeededMean) -> float:
    """Return how likely so large a difference is seen where there is none, as the interval of `interval_of` has it."""
    return always_valid_p(mean) if spec.stop_when else mean.p


def corrected_p(spec: StudySpec, p: dict[str, float]) -> dict[str, float]:
    """Return the p values of all rows, corrected as the study says."""
    corrected = holm(list(p.values())) if spec.correction == "holm" else list(p.values())
    return dict(zip(p, corrected, strict=True))


def _common(runs: Sequence[RunValues]) -> list[str]:
    keys = [key for key in runs[0].of if all(key in one.of for one in runs)]
    if not keys:
        raise DataError("the runs of a row have no question in common that all of them answered")
    return keys


def _mean(
    own: Sequence[RunValues],
    values: Sequence[Sequence[float]],
    keys: Sequence[str],
    pooled: tuple[float, float] | None,
    span: float | None,
) -> SeededMean:
    first = own[0]
    strata = None if first.strata is None else [first.strata[key] for key in keys]
    return seeded_mean(values, [first.clusters[key] for key in keys], strata, pooled, span)
