"""Designs by cost and gain, with the Pareto front: an SVG drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vlmkit.formatting import large
from vlmkit.svg import ACCENT, INK, MUTED, drawing, plain_axes, standalone

__all__ = ["FrontPanel", "PlottedDesign", "front_figure"]

_DECADE = 10
_MOST_LABELS = 40


@dataclass(frozen=True)
class PlottedDesign:
    """One point."""

    x: float
    y: float
    label: str = ""
    """Its description in the list below the panels; empty: it is not listed."""
    on_front: bool = False
    is_base: bool = False
    interval: tuple[float, float] | None = None
    """Of y."""


@dataclass(frozen=True)
class FrontPanel:
    """One pair of axes."""

    x: str
    """Title of the axis."""
    y: str
    designs: Sequence[PlottedDesign]


def front_figure(panels: Sequence[FrontPanel], salt: str) -> str:
    """Return the SVG of some panels of the same designs side by side; `salt` makes its ids reproducible.

    Designs with a label have a number beside them, which stands with the label below the panels.
    """
    from matplotlib.lines import Line2D

    labels = [one.label.replace("$", r"\$") for one in _labeled(panels[0])]  # which would begin a formula
    with drawing(salt, 4.2 * len(panels), 3.6 + 0.19 * len(labels)) as figure:
        for number, panel in enumerate(panels, 1):
            _draw(figure.add_subplot(1, len(panels), number), panel)
        lines = [Line2D([], [], linestyle="none", label=f"{number}  {label}") for number, label in enumerate(labels, 1)]
        if lines:
            figure.legend(handles=lines, loc="outside lower left", handlelength=0, frameon=False, labelcolor=INK)
        return standalone(figure)


def _labeled(panel: FrontPanel) -> list[PlottedDesign]:
    return [one for one in panel.designs if one.label][:_MOST_LABELS]


def _draw(axes: Any, panel: FrontPanel) -> None:
    bases = [one for one in panel.designs if one.is_base]
    front = [one for one in panel.designs if one.on_front and not one.is_base]
    others = [one for one in panel.designs if not one.on_front and not one.is_base]
    for designs, color, marker, size in ((others, MUTED, "o", 14), (front, ACCENT, "o", 26), (bases, INK, "x", 36)):
        xs, ys = [one.x for one in designs], [one.y for one in designs]
        axes.scatter(xs, ys, c=color, marker=marker, s=size, linewidths=1.2)
        for one in designs:
            if one.interval is not None:
                axes.plot([one.x, one.x], one.interval, color=color, linewidth=1.0, alpha=0.7)
    for number, one in enumerate(_labeled(panel), 1):
        offset = (4, 4) if number % 2 else (4, -10)  # numbers of near points, which often follow each other
        axes.annotate(f"{number}", (one.x, one.y), xytext=offset, textcoords="offset points", color=INK)
    for axis, title, values in (
        (axes.xaxis, panel.x, [one.x for one in panel.designs]),
        (axes.yaxis, panel.y, [one.y for one in panel.designs]),
    ):
        if min(values) > 0 and max(values) / min(values) > _DECADE:
            (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
        else:
            axis.get_major_locator().set_params(nbins=5)
            axis.set_major_formatter(lambda value, _: large(value))
        axis.set_label_text(title, color=MUTED)
    plain_axes(axes)
    axes.margins(0.12)
