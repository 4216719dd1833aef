"""Figures of compared systems: scores against the size of the visual part, and loss curves over each other."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

from vlmkit.formatting import is_accuracy, one_line
from vlmkit.report.loss_curves import LOSSES, loss_points, smooth
from vlmkit.report.svg import INK, MUTED, RULE, SYSTEMS, drawing, inline, plain_axes
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
    color: int | None
    """None of published scores."""


def size_figure(points: Sequence[SizePoint], metric: str, salt: str, narrow: bool) -> str:
    """Draw scores against the parameters of the visual part, as Figure 1 of the paper of Video-Panda does.

    The paper: arXiv:2412.18609.
    """
    from matplotlib.ticker import LogLocator

    scale = 100 if is_accuracy(metric) else 1
    sizes = [point.parameters for point in points]
    unit, size_unit = ("millions", 1e6) if max(sizes) >= 1e6 else ("thousands", 1e3)
    points = [point._replace(label=one_line(point.label, 28 if narrow else 40)) for point in points]
    with drawing(salt, *((3.6, 3.4) if narrow else (7.2, 3.6))) as figure:
        axes = figure.add_subplot()
        for point in points:
            color = MUTED if point.color is None else SYSTEMS[point.color]
            if point.interval is not None:
                ends = [scale * end for end in point.interval]
                axes.plot([point.parameters] * 2, ends, color=color, linewidth=1.4)
            filled = "none" if point.color is None else color
            axes.plot([point.parameters], [scale * point.score], "o", color=color, markerfacecolor=filled, markersize=6)
        if max(sizes) > 4 * min(sizes):
            axes.set_xscale("log", subs=())
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        else:
            axes.locator_params(axis="x", nbins=5)
        axes.margins(0.16, 0.14)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / size_unit:g}")
        axes.set_xlabel(f"parameters of the visual part, {unit}", color=MUTED)
        axes.set_title(f"{metric}{', %' if scale == 100 else ''}", loc="left", color=INK, fontsize=9)
        plain_axes(axes)
        figure.draw_without_rendering()  # now the layout and the limits of the axes are known
        _write_labels(axes, points, scale)
        return inline(figure)


_Box = tuple[float, float, float, float]
"""The middle of a box, and half its sides, in pixels."""


def _write_labels(axes: Any, points: Sequence[SizePoint], scale: float) -> None:
    """Write each label beside its point, where it covers the least of points, intervals and other labels."""
    pixels = axes.figure.dpi / 72
    taken: list[_Box] = []
    for point in points:
        low, high = point.interval or (point.score, point.score)
        (x, bottom), (_, top) = (axes.transData.transform((point.parameters, scale * end)) for end in (low, high))
        taken.append((x, (bottom + top) / 2, 1.0, (top - bottom) / 2))
        taken.append((*axes.transData.transform((point.parameters, scale * point.score)), 4 * pixels, 4 * pixels))
    frame = axes.get_window_extent()
    for point in sorted(points, key=lambda one: one.color is None):
        x, y = axes.transData.transform((point.parameters, scale * point.score))
        half, height = 2.4 * pixels * len(point.label), 5 * pixels
        choices = []
        for order, (side, up) in enumerate(itertools.product((1, -1), (0, 1, -1, 2, -2))):
            box = (x + side * (half + 6 * pixels), y + 9 * up * pixels, half, height)
            outside = max(0.0, frame.x0 - box[0] + half) + max(0.0, box[0] + half - frame.x1)
            choices.append((sum(_common(box, other) for other in taken) + 9 * outside * height, order, box, side, up))
        _, _, box, side, up = min(choices)
        taken.append(box)
        axes.annotate(
            point.label, (point.parameters, scale * point.score), (6 * side, 9 * up), textcoords="offset points",
            ha="left" if side > 0 else "right", va="center", fontsize=8, parse_math=False, annotation_clip=False,
            color=MUTED if point.color is None else INK,
        )  # fmt: skip


def _common(a: _Box, b: _Box) -> float:
    """Return the area that two boxes share."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0] - a[2], b[0] - b[2])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1] - a[3], b[1] - b[3])
    return max(0.0, width) * max(0.0, height)


class LossLine(NamedTuple):
    """The log of one run in one stage."""

    color: int
    """That of its system."""
    lines: Sequence[MetricsLine]


def overlaid_curves(logs: Sequence[LossLine], salt: str, stacked: bool) -> str:
    """One panel per loss that any run logged in a stage, smoothed, side by side or `stacked` for a narrow screen."""
    losses = [loss for loss in LOSSES if any(loss_points(log.lines, loss) for log in logs)]
    across, down = (1, len(losses)) if stacked else (max(len(losses), 2), 1)
    with drawing(salt, 3.6 * across, 2.3 * down) as figure:
        for panel, loss in enumerate(losses, 1):
            axes = figure.add_subplot(down, across, panel)
            for log in reversed(logs):  # the base on top
                _draw_line(axes, loss_points(log.lines, loss), SYSTEMS[log.color])
            axes.set_title(LOSSES[loss], loc="left", color=INK, fontsize=9)
            axes.set_xlabel("optimizer step", color=MUTED)
            plain_axes(axes)
            axes.grid(axis="y", color=RULE, linewidth=0.6)
            axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]) if axes.get_ylim()[0] < 0 else 0.0)
            axes.locator_params(nbins=4)
            axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
        return inline(figure)


def _draw_line(axes: Any, points: Sequence[tuple[int, float]], color: str) -> None:
    if not points:
        return
    stride = -(-len(points) // _POINTS)
    steps, values = [step for step, _ in points], smooth([value for _, value in points])
    dot = "o" if len(points) == 1 else None
    axes.plot(steps[::stride], values[::stride], color=color, linewidth=1.3, marker=dot, markersize=4)
