"""The section of training: loss curves as inline SVG, drawn by matplotlib, and their ends as a table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median_high
from typing import Any, NamedTuple

from vlmkit.svg import ACCENT, INK, MUTED, drawing, inline, plain_axes
from vlmkit.training.metrics import MetricsLine

__all__ = ["LOSSES", "POINTS", "StageCurves", "curves", "loss_points", "smooth", "stage_curves"]

LOSSES = {"language_loss": "language loss", "distillation_loss": "distillation loss"}
"""The metrics that are drawn, with their titles."""
POINTS = 400
"""Most points drawn per curve; of longer logs every so many."""

_FEW = 4


class StageCurves(NamedTuple):
    """The training of one stage."""

    name: str
    steps: int
    ends: list[str | None]
    """Each loss at the start and at the end; None where it was not logged."""
    pace: float | None
    """The median time per step, seconds."""
    thinned: bool
    """True where the log holds more points than are drawn."""
    wide: str
    narrow: str
    """The curves for a narrow screen."""


def stage_curves(name: str, lines: Sequence[MetricsLine]) -> StageCurves:
    """Return the training of a stage that has logged something."""
    paces = [line.seconds_per_step for line in lines if line.seconds_per_step is not None]
    wide, narrow = (curves(lines, f"{name}-{stacked}", stacked) for stacked in (False, True))
    return StageCurves(
        name=name,
        steps=lines[-1].step,
        ends=[_ends(lines, loss) for loss in LOSSES],
        pace=median_high(paces) if paces else None,
        thinned=len(lines) > POINTS,
        wide=wide,
        narrow=narrow,
    )


def smooth(values: Sequence[float]) -> list[float]:
    """Centered moving average over a twentieth of the values (at least three), narrower at both ends."""
    half = max(1, len(values) // 40)
    windows = ((max(0, i - half), min(len(values), i + half + 1)) for i in range(len(values)))
    return [sum(values[low:high]) / (high - low) for low, high in windows]


def _ends(lines: Sequence[MetricsLine], loss: str) -> str | None:
    values = smooth([value for _, value in loss_points(lines, loss)])
    return f"{values[0]:.3g} → {values[-1]:.3g}" if values else None


def loss_points(lines: Sequence[MetricsLine], loss: str) -> list[tuple[int, float]]:
    """Return step and value of a loss wherever it was logged."""
    points = ((line.step, getattr(line, loss)) for line in lines)
    return [(step, value) for step, value in points if value is not None]


def curves(lines: Sequence[MetricsLine], salt: str, stacked: bool) -> str:
    """One panel per loss that was logged, side by side or `stacked` for a narrow screen.

    `salt` keeps the ids of several figures of one page apart and makes the output reproducible.
    """
    losses = [loss for loss in LOSSES if loss_points(lines, loss)]
    across, down = (1, len(losses)) if stacked else (max(len(losses), 2), 1)
    with drawing(salt, 3.5 * across, 2.1 * down) as figure:
        for panel, loss in enumerate(losses, 1):
            _draw(figure.add_subplot(down, across, panel), loss_points(lines, loss), LOSSES[loss])
        return inline(figure)


def _draw(axes: Any, points: Sequence[tuple[int, float]], title: str) -> None:
    steps, values = [step for step, _ in points], [value for _, value in points]
    stride = -(-len(points) // POINTS)
    smoothed = smooth(values)
    axes.plot(steps[::stride], values[::stride], color=MUTED, linewidth=0.8, alpha=0.7)
    dot = "o" if len(points) == 1 else None
    axes.plot(steps[::stride], smoothed[::stride], color=ACCENT, linewidth=1.6, marker=dot, markersize=4)
    axes.set_title(title, loc="left", color=INK, fontsize=9)
    axes.set_title(f"{smoothed[-1]:.3g} at the end", loc="right", color=MUTED, fontsize=8.5)
    axes.set_xlabel("optimizer step", color=MUTED)
    axes.set_ylim(bottom=min(0.0, *values))
    plain_axes(axes)
    axes.locator_params(nbins=4)
    if len(steps) <= _FEW:  # between them there would be ticks at fractions of a step
        axes.set_xticks(steps)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")
