"""Figures of compared systems: scores against the size of the visual part, and loss curves over each other."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from vlmkit.formatting import is_accuracy, one_line
from vlmkit.report.loss_curves import loss_points, smooth
from vlmkit.svg import INK, MUTED, SYSTEMS, drawing, inline, plain_axes
from vlmkit.training.metrics import MetricsLine

__all__ = ["LossLine", "SizePoint", "overlaid_curves", "size_figure"]

_POINTS = 120
"""Most points drawn per curve."""


class SizePoint(NamedTuple):
    """A system in the figure of scores against size."""

    label: str
    parameters: float
    """Of the visual part."""
    score: float
    interval: Sequence[float] | None
    """None of published scores."""
    system: int | None
    """Its number, which has a color; None: hollow, without one."""


def size_figure(
    points: Sequence[SizePoint],
    metric: str,
    salt: str,
    narrow: bool,
    *,
    title: str = "",
    all_named: bool = False,
    write: Callable[[Any], str] = inline,
) -> str:
    """Draw scores against the parameters of the visual part, as Figure 1 of the paper of Video-Panda does.

    Systems have the colors of the page's legend; published scores have their names beside them, as have all systems
    where there are more of them than colors. The paper: arXiv:2412.18609.

    Args:
        points: what is drawn.
        metric: of the scores.
        salt: keeps the ids of the figures of one page apart.
        narrow: for a phone.
        title: what the scores are; empty: the metric.
        all_named: every point has its name beside it.
        write: `inline` or `standalone` of `vlmkit.svg`.
    """
    from matplotlib.ticker import LogLocator
    from matplotlib.transforms import ScaledTranslation

    scale = 100 if is_accuracy(metric) else 1
    sizes = [point.parameters for point in points]
    unit, size_unit = ("millions", 1e6) if max(sizes) >= 1e6 else ("thousands", 1e3)
    is_log = max(sizes) > 4 * min(sizes)
    aside = _side_by_side([math.log(size) if is_log else size for size in sizes], 0.035 if narrow else 0.015)
    with drawing(salt, *((3.6, 3.4) if narrow else (7.2, 3.6))) as figure:
        axes = figure.add_subplot()
        for point, shift in zip(points, aside, strict=True):
            color = MUTED if point.system is None else SYSTEMS[point.system % len(SYSTEMS)]
            drawn = []
            if point.interval is not None:
                ends = [scale * end for end in point.interval]
                drawn += axes.plot([point.parameters] * 2, ends, color=color, linewidth=1.4)
            filled = "none" if point.system is None else color
            values = [point.parameters], [scale * point.score]
            drawn += axes.plot(*values, "o", color=color, markerfacecolor=filled, markersize=6)
            for line in drawn:  # moved when the axes have taken note of where it was
                line.set_transform(axes.transData + ScaledTranslation(shift / 72, 0, figure.dpi_scale_trans))
        if is_log:
            axes.set_xscale("log", subs=())
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        else:
            axes.locator_params(axis="x", nbins=5)
        axes.margins(0.16, 0.14)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / size_unit:g}")
        axes.set_xlabel(f"parameters of the visual part, {unit}", color=MUTED)
        axes.set_title(f"{title or metric}{', %' if scale == 100 else ''}", loc="left", color=INK, fontsize=9)
        plain_axes(axes)
        figure.draw_without_rendering()  # now the layout and the limits of the axes are known
        _write_labels(axes, points, aside, scale, 28 if narrow else 40, all_named)
        return write(figure)


def _side_by_side(places: Sequence[float], near: float) -> list[float]:
    """Return how far each point is moved aside, in points of 1/72 inch: those that are nearer to each other than this
    share of the axis would cover each other."""
    order = sorted(range(len(places)), key=lambda at: (places[at], at))
    span = places[order[-1]] - places[order[0]]
    groups: list[list[int]] = []
    for at in order:
        if groups and places[at] - places[groups[-1][-1]] <= near * span:
            groups[-1].append(at)
        else:
            groups.append([at])
    moved = [0.0] * len(places)
    for group in groups:
        for number, at in enumerate(group):
            moved[at] = 8 * (number - (len(group) - 1) / 2)
    return moved


_Box = tuple[float, float, float, float]
"""The middle of a box, and half its sides, in pixels."""


def _write_labels(
    axes: Any, points: Sequence[SizePoint], aside: Sequence[float], scale: float, longest: int, all_named: bool
) -> None:
    """Write the labels beside their points, where each covers the least of points, intervals and other labels."""
    pixels = axes.figure.dpi / 72
    named = [point.system is None for point in points]
    if all_named or named.count(False) > len(SYSTEMS):
        named = [True] * len(points)
    middles = []
    taken: list[_Box] = []
    for point, shift in zip(points, aside, strict=True):
        low, high = point.interval or (point.score, point.score)
        ends = [axes.transData.transform((point.parameters, scale * end)) for end in (low, point.score, high)]
        x = ends[0][0] + shift * pixels
        taken.append((x, (ends[0][1] + ends[2][1]) / 2, 1.0, (ends[2][1] - ends[0][1]) / 2))
        taken.append((x, ends[1][1], 4 * pixels, 4 * pixels))
        middles.append((x, ends[1][1]))
    frame = axes.get_window_extent()
    for at in sorted((at for at in range(len(points)) if named[at]), key=lambda at: points[at].system is None):
        (x, y), label = middles[at], one_line(points[at].label, longest)
        half, height = 2.4 * pixels * len(label), 5 * pixels
        choices = []
        for order, (side, up) in enumerate(itertools.product((1, -1), (0, 1, -1, 2, -2))):
            box = (x + side * (half + 6 * pixels), y + 9 * up * pixels, half, height)
            outside = max(0.0, frame.x0 - box[0] + half) + max(0.0, box[0] + half - frame.x1)
            choices.append((sum(_common(box, other) for other in taken) + 9 * outside * height, order, box, side, up))
        _, _, box, side, up = min(choices)
        taken.append(box)
        axes.annotate(
            label, (points[at].parameters, scale * points[at].score), (6 * side + aside[at], 9 * up),
            textcoords="offset points", ha="left" if side > 0 else "right", va="center", fontsize=8, parse_math=False,
            annotation_clip=False, color=MUTED if points[at].system is None else INK,
        )  # fmt: skip


def _common(a: _Box, b: _Box) -> float:
    """Return the area that two boxes share."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0] - a[2], b[0] - b[2])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1] - a[3], b[1] - b[3])
    return max(0.0, width) * max(0.0, height)


class LossLine(NamedTuple):
    """The log of one run in one stage."""

    system: int
    """Its number; 0 is the base."""
    lines: Sequence[MetricsLine]


def overlaid_curves(logs: Sequence[LossLine], loss: str, salt: str) -> str:
    """Draw one loss of a stage, smoothed, with a line for each run; the base lies below as a broad line, so that a run
    that is the same can be seen on it."""
    with drawing(salt, 3.6, 2.1) as figure:
        axes = figure.add_subplot()
        lowest = 0.0
        for log in logs:
            points = loss_points(log.lines, loss)
            if not points:
                continue
            stride = -(-len(points) // _POINTS)
            steps, values = [step for step, _ in points], smooth([value for _, value in points])
            lowest = min(lowest, *values)
            width, alpha = (1.2, 1.0) if log.system else (3.2, 0.45)
            dot = "o" if len(points) == 1 else None
            color = SYSTEMS[log.system % len(SYSTEMS)]
            axes.plot(
                steps[::stride], values[::stride], color=color, linewidth=width, alpha=alpha, marker=dot, markersize=4
            )
        axes.set_xlabel("optimizer step", color=MUTED)
        plain_axes(axes)
        axes.set_ylim(bottom=lowest)
        axes.locator_params(nbins=4)
        axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        return inline(figure)
