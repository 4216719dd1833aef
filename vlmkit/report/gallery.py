"""Test videos as frame strips, with question, answer and prediction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vlmkit.errors import UserError
from vlmkit.report.choice import choose, outcome
from vlmkit.report.html import Html, el, join
from vlmkit.report.run import RunFiles
from vlmkit.report.strips import Frame, Strips
from vlmkit.report.words import NONE, plural

__all__ = ["SHOWN", "galleries"]

SHOWN = 15
"""Videos per page."""
_MARKS = {"correct": "✓", "wrong": "✗", "unscored": NONE}


def galleries(run: RunFiles, predictions: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Html]:
    """One gallery per result; several show fewer videos each."""
    shown = max(6, SHOWN // max(1, len(predictions)))
    blocks: list[Html] = []
    for name, answers in predictions.items():
        strips, problem = _strips(run, name)
        blocks += [el("h3", name), gallery(answers, strips, run.options["seed"], shown)]
        blocks += [el("p", f"The frames are not shown: {problem}", class_="note")] if problem else []
    return blocks


def _strips(run: RunFiles, name: str) -> tuple[Strips | None, str]:
    if run.spec is None:
        return None, run.spec_problem
    try:
        return Strips(run.spec, name), ""
    except UserError as error:
        return None, str(error)


def gallery(predictions: Sequence[Mapping[str, Any]], strips: Strips | None, seed: int, shown: int) -> Html:
    """A fixed choice of the answered questions; without `strips` the frames are left out."""
    predictions = [prediction for prediction in predictions if prediction.get("prediction") is not None]
    chosen = choose(predictions, shown, seed)
    cards = [_card(prediction, strips) for prediction in chosen]
    return join([el("p", _account(predictions, chosen, seed), class_="note"), el("div", *cards, class_="cards")])


def _account(predictions: Sequence[Mapping[str, Any]], chosen: Sequence[Mapping[str, Any]], seed: int) -> str:
    def tally(among: Sequence[Mapping[str, Any]]) -> str:
        counts = Counter(outcome(prediction) for prediction in among)
        return ", ".join(f"{counts[name]:,} {name}" for name in _MARKS if counts[name])

    every = plural(len(predictions), "answered question")
    rule = f"drawn by seed {seed}, each outcome and question type in proportion"
    return f"{len(chosen)} ({tally(chosen)}) of {every} ({tally(predictions)}), {rule}."


def _card(prediction: Mapping[str, Any], strips: Strips | None) -> Html:
    result = outcome(prediction)
    said = prediction["prediction"].strip() or "(nothing)"
    verdict = el("span", el("span", _MARKS[result], aria_hidden="true"), f" {result}", class_=f"verdict {result}")
    answers = el(
        "dl",
        el("div", el("dt", "predicted"), el("dd", said, " ", verdict)),
        el("div", el("dt", "expected"), el("dd", prediction["answer"])),
    )
    source = el("p", f"{prediction['type']} · {prediction['video']}", class_="note")
    asked = el("p", prediction["question"], class_="question")
    return el("article", _strip(prediction, strips), asked, answers, source, class_="card")


def _strip(prediction: Mapping[str, Any], strips: Strips | None) -> Html:
    if strips is None:
        return Html("")
    try:
        frames = strips.read(prediction["video"])
    except UserError as error:
        return el("p", f"The frames are not shown: {error}", class_="note")
    return el("div", *(_image(frame, i, len(frames)) for i, frame in enumerate(frames, 1)), class_="strip")


def _image(frame: Frame, number: int, total: int) -> Html:
    return el("img", src=frame.uri, alt=f"Frame {number} of {total}, at {frame.seconds:.1f} s")
