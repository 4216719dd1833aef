"""Scores by question type: a plot and its numbers in one table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlmkit.report.html import Html, el, join
from vlmkit.report.scores import judged
from vlmkit.report.words import NONE, interval, plural, primary, score

__all__ = ["by_type"]

Metric = Mapping[str, Any]


class _Group(NamedTuple):
    """One row."""

    name: str
    n: int
    series: dict[str, Metric | None]
    """The metric with the video (`model`) and, where it was measured, without (`blind`); None: nothing scored."""


def by_type(result: Mapping[str, Any]) -> Html:
    """One row per question type, best first, below one for all. Types without a score are left out."""
    if not result["metrics"]:
        return Html("")
    name = primary(result["metrics"])
    groups = _groups(result, name)
    top = 1.0 if name == "accuracy" else _ceiling(groups)
    caption = el("caption", f"{name.capitalize()} by question type, {result['benchmark']}, {judged(result)}")
    rows = [_row(group, name, top) for group in groups]
    bodies = [el("thead", _header(groups, name, top), role="rowgroup"), el("tbody", *rows, role="rowgroup")]
    table = el("table", caption, *bodies, class_="types", role="table")
    return join([table, el("p", *_legend("blind" in groups[0].series), class_="note")])


def _groups(result: Mapping[str, Any], name: str) -> list[_Group]:
    blind = result.get("blind")

    def group(kind: str, part: Mapping[str, Any], other: Mapping[str, Any]) -> _Group:
        series = {"model": part["metrics"].get(name)}
        if blind:
            series["blind"] = other.get("metrics", {}).get(name)
        return _Group(kind, part["n"], series)

    others = (blind or {}).get("by_type", {})
    types = [
        (part["metrics"][name]["value"], kind, part)
        for kind, part in result["by_type"].items()
        if name in part["metrics"]
    ]
    ordered = sorted(types, key=lambda entry: (-entry[0], entry[1]))
    return [group("all", result, blind or {}), *(group(kind, part, others.get(kind, {})) for _, kind, part in ordered)]


def _ceiling(groups: Sequence[_Group]) -> float:
    highs = [metric["ci95"][1] for group in groups for metric in group.series.values() if metric]
    return float(math.ceil(max(highs))) or 1.0


def _header(groups: Sequence[_Group], name: str, top: float) -> Html:
    ticks = [f"{top * i / 2:.0%}" if name == "accuracy" else f"{top * i / 2:g}" for i in range(3)]
    axis = el("span", *(el("span", tick) for tick in ticks), class_="axis", aria_hidden="true")
    titles = {"model": "With the video", "blind": "Blind"}
    return el(
        "tr",
        _cell("columnheader", "Question type"),
        _cell("columnheader", el("span", "Plot", class_="hidden"), axis, class_="plot"),
        *(_cell("columnheader", titles[series], class_="n") for series in groups[0].series),
        role="row",
    )


def _row(group: _Group, name: str, top: float) -> Html:
    # The blind marks come first, so that the model's lie above them.
    marks = [
        mark for series, metric in reversed(group.series.items()) if metric for mark in _marks(series, metric, top)
    ]
    return el(
        "tr",
        _cell("rowheader", group.name, el("span", plural(group.n, "question"), class_="sub")),
        _cell("cell", el("div", *marks, class_="track", aria_hidden="true"), class_="plot"),
        *(_cell("cell", *_numbers(name, metric), class_="n") for metric in group.series.values()),
        role="row",
        class_="all" if group.name == "all" else None,
    )


def _cell(role: str, *content: str, class_: str | None = None) -> Html:
    """A cell with its role spelled out, because the page lays these rows out as grids on narrow screens."""
    scope = {"columnheader": "col", "rowheader": "row"}.get(role)
    return el("th" if scope else "td", *content, scope=scope, role=role, class_=class_)


def _numbers(name: str, metric: Metric | None) -> list[str]:
    return [score(name, metric["value"]), el("span", interval(name, metric), class_="sub")] if metric else [NONE]


def _marks(series: str, metric: Metric, top: float) -> list[Html]:
    """The interval as a bar and the value as a dot, at percentages of the track's width."""
    places = (metric["ci95"][0], metric["value"], metric["ci95"][1])
    low, value, high = (100 * min(max(place / top, 0.0), 1.0) for place in places)
    return [
        el("span", class_=f"bar {series}", style=f"left:{low:.2f}%;width:{high - low:.2f}%"),
        el("span", class_=f"dot {series}", style=f"left:{value:.2f}%"),
    ]


def _legend(blind: bool) -> list[str]:
    model = [el("span", class_="dot model", aria_hidden="true"), " with the video. "]
    hollow = el("span", class_="dot blind", aria_hidden="true")
    told = [hollow, " blind: the same model and question, shown another clip's video. "]
    return [*model, *(told if blind else []), "Bars are 95% intervals."]
