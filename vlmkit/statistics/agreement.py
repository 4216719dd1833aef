"""Judges on the same answers: Krippendorff's alpha, confusion, where they disagree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from vlmkit.statistics.clustering import codes
from vlmkit.statistics.intervals import Estimate

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Agreement", "Confusion", "Level", "agreement", "confusion"]

Level = Literal["nominal", "ordinal", "interval"]
"""How ratings are compared: equal or not, by how many ratings lie between them, or by how much they differ."""
Rating = str | float | None
"""Of one judge on one answer: a label or a number (true and false are both); None where it gave none."""

_MOST_RANKS = 200
"""Different values of ordinal ratings: the table of all pairs of them is filled once per draw."""


@dataclass(frozen=True)
class Agreement:
    """How far several judges agree, beyond what chance alone would give."""

    alpha: Estimate | None
    """1: they agree always, 0: as often as by chance, below 0: less. None where all ratings are the same or no answer
    has two: there is nothing to measure."""
    answers: int
    """Answers that at least two judges have rated: those that count."""
    disagreements: tuple[int, ...]
    """Positions of the answers whose ratings are not all the same."""


@dataclass(frozen=True)
class Confusion:
    """How often two judges gave which pair of ratings; answers that one of them has not rated are left out."""

    labels: tuple[str | float, ...]
    """All ratings that occur, in order."""
    counts: tuple[tuple[int, ...], ...]
    """A row for each label of the first judge, a column for each label of the second one."""


def agreement(
    ratings: Sequence[Sequence[Rating]],
    level: Level = "nominal",
    clusters: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> Agreement:
    """Krippendorff's alpha of any number of judges with its 95% interval, and the answers on which they part.

    `ratings[j][i]` is what judge j said of answer i, None where it said nothing; all judges have the same answers in
    the same order. `clusters[i]` is the video or group of answer i; without it every answer is its own.

    The interval goes from the 2.5% to the 97.5% quantile of `draws` bootstrap samples, each of as many clusters as
    there are, drawn with replacement by a generator of `seed`. Samples in which all ratings are the same have no alpha
    and are left out. Judges that never differ have an interval of width 0: no sample can show what was not seen.

    A ValueError where lengths differ, fewer than two judges are given, or a rating of levels other than nominal is no
    number.

    Sources: Krippendorff, Content Analysis (2004), chapter 11; Efron and Tibshirani, An Introduction to the Bootstrap
    (1993), chapter 13; Field and Welsh, Journal of the Royal Statistical Society B 69 (2007), for samples of clusters.
    """
    import numpy as np

    said = _by_answer(ratings)
    names = range(len(said)) if clusters is None else clusters
    if len(names) != len(said):
        raise ValueError(f"expected a cluster for each of {len(said)} answers, found {len(names)}")
    kept = [place for place, row in enumerate(said) if len(row) > 1]
    apart = tuple(place for place in kept if len(set(said[place])) > 1)
    if not kept:
        return Agreement(None, 0, ())
    table = _Table([said[place] for place in kept], level)
    value = table.alpha(np.ones(len(kept)))
    if np.isnan(value):
        return Agreement(None, len(kept), apart)
    cluster, m = codes([names[place] for place in kept])
    rng = np.random.default_rng(seed)
    samples = [table.alpha(rng.multinomial(m, np.full(m, 1 / m))[cluster]) for _ in range(draws)]
    low, high = np.nanquantile(samples, [0.025, 0.975])
    return Agreement(Estimate(value, float(low), float(high)), len(kept), apart)


def confusion(first: Sequence[Rating], second: Sequence[Rating]) -> Confusion:
    """The ratings of two judges, crossed; `first[i]` and `second[i]` are about the same answer."""
    pairs = Counter(tuple(row) for row in _by_answer([first, second]) if len(row) == 2)
    labels = tuple(sorted({label for pair in pairs for label in pair}, key=lambda label: (str(type(label)), label)))
    return Confusion(labels, tuple(tuple(pairs[row, column] for column in labels) for row in labels))


def _by_answer(ratings: Sequence[Sequence[Rating]]) -> list[list[str | float]]:
    """The ratings that each answer has."""
    if len(ratings) < 2:
        raise ValueError(f"expected the ratings of at least two judges, found {len(ratings)}")
    if len({len(judge) for judge in ratings}) > 1:
        raise ValueError(f"expected as many ratings of each judge, found {', '.join(str(len(r)) for r in ratings)}")
    for judge, given in enumerate(ratings):
        for place, rating in enumerate(given):
            if rating != rating:
                raise ValueError(f"rating {place} of judge {judge} is nan: expected a label, a number or None")
    return [[rating for rating in row if rating is not None] for row in zip(*ratings, strict=True)]


class _Table:
    """The ratings of U answers as sums that are linear in how often each answer is drawn."""

    def __init__(self, said: Sequence[Sequence[Any]], level: Level) -> None:
        import numpy as np

        self.level = level
        self.sizes = np.array([len(row) for row in said], dtype=float)
        if level == "interval":
            numbers = [_numbers(row) for row in said]
            center = np.concatenate(numbers).mean()  # which keeps the differences of large sums exact
            self.sums = np.array([[row.sum(), row @ row] for row in (row - center for row in numbers)])
            return
        flat = [rating for row in said for rating in row]
        values = sorted(set(_numbers(flat).tolist())) if level == "ordinal" else list(dict.fromkeys(flat))
        if level == "ordinal" and len(values) > _MOST_RANKS:
            found = f"found {len(values)}: use the level interval"
            raise ValueError(f"expected at most {_MOST_RANKS} different ordinal ratings, {found}")
        position = {value: number for number, value in enumerate(values)}
        self.counts = np.zeros((len(said), len(values)))  # U x V
        for answer, row in enumerate(said):
            for rating in row:
                self.counts[answer, position[rating]] += 1

    def alpha(self, weights: np.ndarray) -> float:
        """1 - observed / expected disagreement of a sample with answer u `weights[u]` times; nan if expected is 0."""
        import numpy as np

        n = float(weights @ self.sizes)
        within = weights / (self.sizes - 1)
        if self.level == "interval":
            total, squares = weights @ self.sums
            observed = within @ (self.sizes * self.sums[:, 1] - self.sums[:, 0] ** 2) * 2
            expected = 2 * (n * squares - total * total) / (n - 1)
        elif self.level == "nominal":
            of_value = weights @ self.counts
            observed = within @ (self.sizes**2 - (self.counts**2).sum(axis=1))
            expected = (n * n - of_value @ of_value) / (n - 1)
        else:
            of_value = weights @ self.counts
            middle = np.cumsum(of_value) - of_value / 2
            distance = (middle[:, None] - middle) ** 2  # ratings between two values, the ends by half
            pairs = self.counts.T @ (within[:, None] * self.counts)  # the diagonal has distance 0
            observed = (pairs * distance).sum()
            expected = of_value @ distance @ of_value / (n - 1)
        return 1 - float(observed / expected) if expected > 1e-12 * n else float("nan")


def _numbers(row: Sequence[Any]) -> np.ndarray:
    import numpy as np

    for rating in row:
        if isinstance(rating, str):
            raise ValueError(f"rating {rating!r}: expected a number; ratings that are labels are nominal")
    return np.array(row, dtype=float)
