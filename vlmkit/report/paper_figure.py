"""Figure 1 of the paper of Video-Panda (arXiv:2412.18609), from counts of the shipped specs and published scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from vlmkit._version import __version__
from vlmkit.benchmarks.entries import Benchmark, PublishedModel, PublishedResults, find_benchmark
from vlmkit.errors import UserError
from vlmkit.files import expand_path, write_atomic
from vlmkit.report.compared_figures import SizePoint, size_figure
from vlmkit.report.page import page_templates
from vlmkit.spec.loading import load_spec
from vlmkit.summary import count_vision
from vlmkit.svg import inline, standalone

__all__ = ["FIGURES", "write_figure"]

FIGURES = {1: "accuracy against the parameters of the visual part"}
"""Figures of the paper that can be made, and what they show."""
_BENCHMARKS = ("msvd-qa", "msrvtt-qa", "tgif-frameqa", "activitynet-qa")
"""Those of the paper's Table 1, the one of its figure first."""
_METRIC = "accuracy"


class _Panel(NamedTuple):
    """One benchmark."""

    benchmark: Benchmark
    published: PublishedResults
    wide: str
    narrow: str


class _Row(NamedTuple):
    """One published system."""

    label: str
    model: PublishedModel
    parameters: int | None
    """Counted; None where the registry names no spec of it."""
    scores: Sequence[float | None]
    """By benchmark."""


def write_figure(number: int, file: Path) -> tuple[Path, Path]:
    """Write the page of a figure, and the figure alone beside it, an SVG; return both paths.

    Parameters are counted on the meta device from the spec that the registry names for each system.

    Raises:
        UserError: there is no such figure, or the files cannot be written.
    """
    if number not in FIGURES:
        known = "; ".join(f"{known}, {shows}" for known, shows in FIGURES.items())
        raise UserError(f"--figure {number}: this figure of arXiv:2412.18609 cannot be made; figures: {known}")
    page = expand_path(file)
    if page.suffix == ".svg":
        raise UserError(f"--to {file}: expected the name of a page, FILE.html; its figure is written beside it, as SVG")
    alone = page.with_suffix(".svg")
    html, svg = _render()
    try:
        page.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(page, html)
        write_atomic(alone, svg)
    except OSError as error:
        raise UserError(f"{page}: the figure cannot be written: {error.strerror or error}; name another file") from None
    return page, alone


def _render() -> tuple[str, str]:
    """Return the page, and the SVG of the first benchmark."""
    entries = [find_benchmark(name) for name in _BENCHMARKS]
    published = [entry.published for entry in entries if entry.published]
    counts = _counts(published)
    panels = []
    for entry, theirs in zip(entries, published, strict=True):
        points = _points(theirs, counts)
        wide, narrow = (
            size_figure(points, _METRIC, f"{entry.name}-{narrow}", narrow, all_named=True, write=inline)
            for narrow in (False, True)
        )
        panels.append(_Panel(entry, theirs, wide, narrow))
    alone = size_figure(
        _points(published[0], counts), _METRIC, "alone", False, all_named=True, write=standalone,
        title=f"{_METRIC} on {entries[0].title.partition(',')[0]} (filled: trained on the data of Video-Panda)",
    )  # fmt: skip
    rows = _rows(published, counts)
    template = page_templates().get_template("paper_figure.html")
    page = template.render(version=__version__, panels=panels, rows=rows, metric=_METRIC)
    return page, alone


def _counts(published: Sequence[PublishedResults]) -> dict[str, int]:
    """Return the parameters of the visual part by the name of the spec."""
    names = dict.fromkeys(model.spec for one in published for model in one.results if model.spec)
    return {name: count_vision(load_spec(f"specs/{name}.yaml").model) for name in names}


def _points(published: PublishedResults, counts: dict[str, int]) -> list[SizePoint]:
    """Return the points of the systems with a count, those of the paper's own data filled."""
    return [
        SizePoint(published.label(model), counts[model.spec], model.metrics[_METRIC], None, _color(model))
        for model in published.results
        if model.spec in counts and _METRIC in model.metrics
    ]


def _color(model: PublishedModel) -> int | None:
    return 0 if model.data == "same" else None


def _rows(published: Sequence[PublishedResults], counts: dict[str, int]) -> list[_Row]:
    """Return all systems, in the order in which they are published, with their scores."""
    models = {(model.model, model.data): (one.label(model), model) for one in published for model in one.results}
    scores = [{(model.model, model.data): model.metrics.get(_METRIC) for model in one.results} for one in published]
    return [
        _Row(label, model, counts.get(model.spec or ""), [scored.get(key) for scored in scores])
        for key, (label, model) in models.items()
    ]
