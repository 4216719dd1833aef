"""Figures of matplotlib as SVG: in a page, in its colors, light or dark, with its fonts; or as a file of its own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ACCENT", "INK", "MUTED", "RULE", "SYSTEMS", "drawing", "inline", "plain_axes", "standalone"]

SYSTEMS = tuple(f"#0a000{i}" for i in range(8))
"""Placeholders of the colors that tell compared systems apart: the CSS variables --s0 to --s7."""
INK, MUTED, RULE, ACCENT = "#010101", "#020202", "#030303", "#040404"
"""Placeholders that matplotlib accepts, and whose place the CSS variables of the page take."""
_VARIABLES = {INK: "ink", MUTED: "muted", RULE: "rule", ACCENT: "accent"} | {
    color: f"s{i}" for i, color in enumerate(SYSTEMS)
}
_LIGHT = ("#1f5fa8", "#b8520a", "#1d7a4c", "#8a3f9e", "#a8281e", "#0e7c86", "#6b6011", "#b0306e")
_COLORS = {INK: "#1c1d1f", MUTED: "#5a5f66", RULE: "#d9d9d3", ACCENT: "#1f5fa8"} | dict(
    zip(SYSTEMS, _LIGHT, strict=True)
)
"""Of a file of its own: those that the pages have in light mode."""


@contextmanager
def drawing(salt: str, width: float, height: float) -> Iterator[Any]:
    """Yield an empty figure of this size in inches; `inline` and `standalone` belong into the same `with`.

    `salt` keeps the ids of several figures of one page apart and makes the output reproducible.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    style = {"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 8.5, "axes.linewidth": 0.6}
    with mpl.rc_context(style):
        yield Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(wspace=0.08, hspace=0.08))


def plain_axes(axes: Any) -> None:
    """Leave of the axes a line below and the rules of the y axis."""
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(color=MUTED, labelcolor=MUTED, length=0)


def inline(figure: Any) -> str:
    """The svg element alone: no prolog, no metadata, sized by the page; a table says the same to screen readers."""
    svg = _saved(figure, transparent=True)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', r'<svg \1 aria-hidden="true">', svg, count=1)
    svg = re.sub(r"<style.*?</style>", "", svg, flags=re.DOTALL)  # it would style the whole page
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # the same in every figure, and nothing refers to them
    for placeholder, variable in _VARIABLES.items():
        svg = svg.replace(placeholder, f"var(--{variable})")
    return svg.replace("xlink:href", "href")


def standalone(figure: Any) -> str:
    """The content of an SVG file, dark on white."""
    svg = _saved(figure, transparent=False)
    for placeholder, color in _COLORS.items():
        svg = svg.replace(placeholder, color)
    return svg


def _saved(figure: Any, transparent: bool) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=transparent, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
