"""How training went: loss curves per stage, the same in a table, and what is not finished."""

from __future__ import annotations

from typing import Any

from vlmkit.report.curves import LOSSES, POINTS, curves, smooth
from vlmkit.report.html import Html, el, join, table
from vlmkit.report.run import RunFiles, StageLog
from vlmkit.report.words import NONE, count, duration

__all__ = ["progress", "unfinished"]


def progress(run: RunFiles) -> Html:
    """Every stage that has logged something."""
    logs = [log for log in run.stages.values() if log.rows]
    if not logs:
        text = "No training step is logged yet." if run.planned_stages else "This experiment trains nothing."
        return el("p", text)
    longest = max(len(log.rows) for log in logs)
    thinned = f" Of longer logs, {POINTS} points are drawn." if longest > POINTS else ""
    numbers = "Losses at the start and at the end, averaged as the thick lines below are; time per step is the median."
    lines = f"Thin line: as logged. Thick line: moving average over a twentieth of the stage.{thinned}"
    figures = [_stage(log) for log in logs]
    return join([_numbers(logs), el("p", numbers, class_="note"), *figures, el("p", lines, class_="note")])


def _stage(log: StageLog) -> Html:
    wide, narrow = (curves(log.rows, f"{log.name}-{stacked}", stacked) for stacked in (False, True))
    return el(
        "figure",
        el("figcaption", el("h3", f"Stage {log.name}")),
        el("div", wide, class_="wide"),
        el("div", narrow, class_="narrow"),
        class_="curve",
        role="group",
        aria_label=f"Loss curves of stage {log.name}; their ends are in the table above",
    )


def _numbers(logs: list[StageLog]) -> Html:
    head = [
        "Stage",
        "Steps",
        *(title.capitalize() for title in LOSSES.values()),
        "Per step",
        "In all",
    ]
    rows = [_row(log) for log in logs]
    return table("Training in numbers", head, rows, numeric=range(1, len(head)))


def _row(log: StageLog) -> list[str]:
    steps = log.rows[-1]["step"]
    paces = sorted(row["seconds_per_step"] for row in log.rows if "seconds_per_step" in row)
    pace = paces[len(paces) // 2] if paces else None
    times = [NONE, NONE] if pace is None else [duration(pace), duration(pace * steps)]
    return [log.name, count(steps), *(_ends(log.rows, key) for key in LOSSES), *times]


def _ends(rows: list[dict[str, Any]], key: str) -> str:
    values = smooth([row[key] for row in rows if key in row])
    return f"{values[0]:.3g} → {values[-1]:.3g}" if values else NONE


def unfinished(run: RunFiles) -> list[str]:
    """What the spec asks for and the run does not hold yet, in sentences."""
    missing = [f"{name} has no result yet." for name in run.planned_benchmarks if name not in run.results]
    return ([] if run.trained else _untrained(run)) + missing


def _untrained(run: RunFiles) -> list[str]:
    sentences = []
    for stage in run.planned_stages:
        log = run.stages.get(stage["name"])
        done, steps = log.rows[-1]["step"] if log and log.rows else 0, stage.get("steps")
        if not done:
            sentences.append(f"Stage {stage['name']} has logged nothing yet.")
        elif steps and done < steps:
            sentences.append(f"Stage {stage['name']} stands at step {done:,} of {steps:,}.")
    return sentences or (["The trained model is not written yet."] if run.planned_stages else [])
