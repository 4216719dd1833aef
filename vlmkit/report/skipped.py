"""What was skipped or could not be scored, with the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vlmkit.report.html import Html, el, join, table
from vlmkit.report.run import RunFiles
from vlmkit.report.words import NONE, count, plural

__all__ = ["LISTED", "skipped"]

LISTED = 50
"""Most samples listed one by one."""


def skipped(run: RunFiles, predictions: Mapping[str, Sequence[Mapping[str, Any]]]) -> Html:
    """Counts per result and place, then the samples themselves."""
    lost = sum(result["skipped"] + result["unscored"] for result in run.results.values())
    if not run.bad and not lost:
        return el("p", "Nothing was skipped and nothing was left unscored.")
    blocks = []
    if lost:
        rows = [[name, *(count(r[key]) for key in ("n", "skipped", "unscored"))] for name, r in run.results.items()]
        head = ["Result", "Scored", "Skipped: video unreadable", "Unscored: judge failed"]
        blocks.append(table("Questions counted and not counted", head, rows, numeric=[1, 2, 3]))
    failed = [(name, answer) for name, answers in predictions.items() for answer in answers if "unscored" in answer]
    if failed:
        rows = [[answer["id"], name, answer["prediction"], answer["unscored"]] for name, answer in failed[:LISTED]]
        blocks.append(table("Answers that the judge failed on", ["Question", "Result", "Answer", "Reason"], rows))
        blocks += _more(len(failed), "verdicts.sqlite of the result")
    if run.bad:
        places = Counter(sample["where"] for sample in run.bad)
        told = "; ".join(f"{place}: {count(number)}" for place, number in places.items())
        blocks.append(el("p", f"{plural(len(run.bad), 'sample')} could not be read ({told})."))
        rows = [[s["id"], s["video"] or NONE, s["where"], s["reason"]] for s in run.bad[:LISTED]]
        blocks.append(table("Samples that could not be read", ["Sample", "Video", "Where", "Reason"], rows))
        blocks += _more(len(run.bad), "bad_samples.jsonl of the run")
    return join(blocks)


def _more(number: int, where: str) -> list[Html]:
    return [el("p", f"{count(number - LISTED)} more are in {where}.", class_="note")] if number > LISTED else []
