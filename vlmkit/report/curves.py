"""Loss curves as inline SVG, drawn by matplotlib, coloured by the page's CSS variables."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

from vlmkit.report.html import Html

__all__ = ["LOSSES", "POINTS", "curves", "smooth"]

LOSSES = {"language_loss": "language loss", "distillation_loss": "distillation loss"}
"""Metrics that are drawn, with their titles."""
POINTS = 400
"""Most points drawn per curve; of longer logs every so many."""

_FEW = 4
_COLOURS = {"#010101": "var(--ink)", "#020202": "var(--muted)", "#030303": "var(--rule)", "#040404": "var(--accent)"}
"""Stand-ins that matplotlib accepts, and what the page paints instead (light or dark)."""
_INK, _MUTED, _RULE, _ACCENT = _COLOURS


def smooth(values: Sequence[float]) -> list[float]:
    """Centred moving average over a twentieth of the values (at least three), narrower at both ends."""
    half = max(1, len(values) // 40)
    windows = ((max(0, i - half), min(len(values), i + half + 1)) for i in range(len(values)))
    return [sum(values[low:high]) / (high - low) for low, high in windows]


def curves(rows: Sequence[dict[str, Any]], salt: str, stacked: bool) -> Html:
    """One panel per loss that `rows` hold, side by side or `stacked` for a narrow screen.

    `salt` keeps the ids of several figures of one page apart and makes the output reproducible.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    losses = [key for key in LOSSES if any(key in row for row in rows)]
    across, down = (1, len(losses)) if stacked else (max(len(losses), 2), 1)
    style = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 8.5, "axes.linewidth": 0.6}
    layout = ConstrainedLayoutEngine(wspace=0.08, hspace=0.08)
    with mpl.rc_context(style):
        figure = Figure(figsize=(3.5 * across, 2.1 * down), layout=layout)
        for panel, key in enumerate(losses, 1):
            _draw(figure.add_subplot(down, across, panel), rows, key)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue())


def _draw(axes: Any, rows: Sequence[dict[str, Any]], key: str) -> None:
    points = [(row["step"], row[key]) for row in rows if key in row]
    steps, values = [step for step, _ in points], [value for _, value in points]
    stride = -(-len(points) // POINTS)
    smoothed = smooth(values)
    axes.plot(steps[::stride], values[::stride], color=_MUTED, linewidth=0.8, alpha=0.7)
    dot = "o" if len(points) == 1 else None
    axes.plot(steps[::stride], smoothed[::stride], color=_ACCENT, linewidth=1.6, marker=dot, markersize=4)
    axes.set_title(LOSSES[key], loc="left", color=_INK, fontsize=9)
    axes.set_title(f"{smoothed[-1]:.3g} at the end", loc="right", color=_MUTED, fontsize=8.5)
    axes.set_xlabel("optimizer step", color=_MUTED)
    axes.set_ylim(bottom=min(0.0, *values))
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(_MUTED)
    axes.grid(axis="y", color=_RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(color=_MUTED, labelcolor=_MUTED, length=0)
    axes.locator_params(nbins=4)
    if len(steps) <= _FEW:  # between them there would be ticks at fractions of a step
        axes.set_xticks(steps)
    axes.xaxis.set_major_formatter(lambda step, _: f"{step:,.0f}")


def _inline(svg: str) -> Html:
    """The svg element alone: no prolog, no metadata, sized by the page; a table says the same to screen readers."""
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', svg, count=1)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same in every figure, and nothing refers to them
    for stand_in, variable in _COLOURS.items():
        svg = svg.replace(stand_in, variable)
    return Html(svg.replace("xlink:href", "href"))
