"""Pareto fronts: which points no other one beats in all objectives, and a few of them that are far from each other.

Letters: P points, K objectives, each to be minimized.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["pareto_front", "spread_out"]

Point = Sequence[float]


def pareto_front(points: Sequence[Point]) -> list[int]:
    """Return the positions of the points for which no other is at most as large in all K objectives and smaller in one.

    Points that are equal are on the front together.
    """
    front: list[int] = []
    for place in sorted(range(len(points)), key=lambda place: tuple(points[place])):
        if not any(_dominates(points[other], points[place]) for other in front):
            front.append(place)  # in this order, nothing that comes later dominates it
    return sorted(front)


def _dominates(one: Point, other: Point) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True)) and tuple(one) != tuple(other)


def spread_out(points: Sequence[Point], most: int) -> list[int]:
    """Return the positions of at most so many points that are far from each other.

    First come those that are the least in each objective, then again and again the one whose nearest chosen point is
    farthest away, with each objective scaled to its range (Gonzalez, Theoretical Computer Science 38 (1985)).
    """
    if len(points) <= most:
        return list(range(len(points)))
    scaled = list(zip(*map(_scaled, zip(*points, strict=True)), strict=True))
    chosen: list[int] = []
    for objective in range(len(scaled[0])):
        end = min(range(len(points)), key=lambda place, k=objective: _least_first(scaled[place], k))  # type: ignore[misc]
        if end not in chosen and len(chosen) < most:
            chosen.append(end)
    nearest = [min(math.dist(point, scaled[place]) for place in chosen) for point in scaled]
    while len(chosen) < most:
        chosen.append(max((place for place in range(len(points)) if place not in chosen), key=nearest.__getitem__))
        nearest = [min(near, math.dist(point, scaled[chosen[-1]])) for near, point in zip(nearest, scaled, strict=True)]
    return sorted(chosen)


def _scaled(values: Sequence[float]) -> list[float]:
    least, span = min(values), max(values) - min(values)
    return [(value - least) / span if span else 0.0 for value in values]


def _least_first(point: Point, objective: int) -> tuple[float, float]:
    """Return by what the least point in one objective is found; of equal ones, that which is least in the others."""
    return point[objective], math.fsum(point)
