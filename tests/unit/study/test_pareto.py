"""Pareto fronts, and points of them that are far from each other."""

from __future__ import annotations

import itertools
import random

import pytest

from vlmkit.study.pareto import pareto_front, spread_out


def test_only_points_that_none_beats_are_on_the_front() -> None:
    assert pareto_front([(1, 5), (2, 3), (3, 3), (4, 1), (5, 5), (2, 3)]) == [0, 1, 3, 5]


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_front_is_that_of_the_definition(objectives: int) -> None:
    draw = random.Random(objectives)
    points = [tuple(draw.randrange(6) for _ in range(objectives)) for _ in range(120)]

    def beaten(point: tuple[int, ...]) -> bool:
        return any(all(a <= b for a, b in zip(other, point, strict=True)) and other != point for other in points)

    assert pareto_front(points) == [place for place, point in enumerate(points) if not beaten(point)]


def test_few_points_are_all_kept() -> None:
    assert spread_out([(1, 2), (2, 1)], 2) == [0, 1]


def test_the_ends_are_kept_and_what_is_far_from_them() -> None:
    line = [(float(x), float(100 - x)) for x in (0, 1, 2, 3, 48, 50, 97, 98, 100)]
    assert spread_out(line, 3) == [0, 5, 8]
    assert spread_out(line, 1) == [0]


def test_objectives_count_alike_whatever_their_units() -> None:
    points = [(x, y) for x, y in itertools.product((0.0, 1.0), (0.0, 1e9))]
    assert spread_out([*points, (0.5, 5e8)], 4) != [0, 1, 2, 4]


def test_an_objective_that_is_the_same_for_all_does_not_count() -> None:
    assert spread_out([(float(x), 7.0) for x in range(5)], 3) == [0, 2, 4]
