"""The headline: a score with its interval, beside that of the same model without the right video."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.report.html import Html, el, join, table
from vlmkit.report.words import NONE, count, interval, plural, primary, score

__all__ = ["headline", "judged"]

Result = Mapping[str, Any]


def judged(result: Result) -> str:
    """Who decided what is right."""
    return f"judge {result['judge']['name']} {result['judge']['version']}"


def headline(result: Result) -> Html:
    """The score of one benchmark with its interval, beside that of the same model without the right video."""
    if not result["metrics"]:
        return el("p", f"No question could be scored. {_conditions(result)}")
    name = primary(result["metrics"])
    figures = [_figure(name, result["metrics"][name], "with the video", result["n"], "model")]
    blind = result.get("blind") or {}
    if name in (blind.get("metrics") or {}):
        figures.append(_figure(name, blind["metrics"][name], "blind: with another clip's video", blind["n"], "blind"))
    parts = [el("div", *figures, class_="figures"), el("p", _conditions(result), class_="note")]
    others = [metric for metric in result["metrics"] if metric != name]
    if others:
        parts.append(_others(result, others))
    return join(parts)


def _figure(name: str, metric: Mapping[str, Any], label: str, n: int, kind: str) -> Html:
    return el(
        "div",
        el("p", el("span", class_=f"dot {kind}", aria_hidden="true"), label, class_="label"),
        el("p", score(name, metric["value"]), class_="value"),
        el("p", f"{name}, 95% interval {interval(name, metric)}", el("br"), plural(n, "question"), class_="note"),
        class_=f"figure {kind}",
    )


def _conditions(result: Result) -> str:
    lost = [f"{count(result[key])} {key}" for key in ("skipped", "unscored") if result[key]]
    counted = f"{', '.join(lost)} and not counted." if lost else "Nothing skipped, nothing unscored."
    blind = "" if result.get("blind") else " The blind baseline was not measured."
    version = f"{result['benchmark']} version {result['version']}, split {result['split']}"
    limit = f" Only the first {plural(result['limit'], 'question')} of the split." if result.get("limit") else ""
    own = " Annotations other than the registered ones." if not _registered(result) else ""
    return f"{version}; {judged(result)}. {counted}{blind}{limit}{own}"


def _registered(result: Result) -> bool:
    return bool((result.get("annotations") or {}).get("registered", True))


def _others(result: Result, names: list[str]) -> Html:
    blind = (result.get("blind") or {}).get("metrics")
    head = ["Metric", "With the video", "95% interval", *(["Blind", "95% interval"] if blind else [])]
    rows = []
    for name in names:
        row = [name]
        for metric in [result["metrics"][name], *([blind.get(name)] if blind else [])]:
            row += [score(name, metric["value"]), interval(name, metric)] if metric else [NONE, NONE]
        rows.append(row)
    return table(f"Further metrics of {result['benchmark']}, {judged(result)}", head, rows, numeric=range(1, len(head)))
