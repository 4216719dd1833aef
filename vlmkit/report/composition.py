"""The composed model: parts, parameters, tokens per video, and what each stage trains."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.report.html import Html, el, join, table
from vlmkit.report.run import RunFiles
from vlmkit.report.words import NONE, component, count, large, rate

__all__ = ["composition"]


def composition(run: RunFiles) -> Html:
    """What was composed, as far as the run says it."""
    facts = run.composition
    blocks = [_parts(run)]
    if tokens := facts.get("tokens"):
        rows = [[aspect, count(number)] for aspect, number in tokens.items()]
        blocks.append(table("Visual tokens per video", ["Aspect ratio", "Tokens"], rows, numeric=[1]))
    blocks = [el("div", *blocks, class_="pair")]
    if facts.get("macs"):
        frames = facts.get("frames")
        video = f"a square video of {frames} frames" if frames else "one square video"
        text = f"The visual part takes {large(facts['macs'])} multiply-accumulates for {video}."
        blocks.append(el("p", text, class_="note"))
    if not facts:
        blocks.append(el("p", "This run holds no model.json, so parameters and tokens are not known.", class_="note"))
    if run.planned_stages:
        blocks.append(_stages(run))
    return join(blocks)


def _parts(run: RunFiles) -> Html:
    """Components from the spec, parameters from model.json."""
    components = {name: run.options["model"][name] for name in ("aligner", "backbone")}
    distillation = (run.options.get("training") or {}).get("distillation")
    if distillation:
        components["teacher"] = distillation["teacher"]
    parameters: Mapping[str, int] = run.composition.get("parts", {})
    names = list(dict.fromkeys([*components, *parameters]))
    rows = []
    for name in names:
        described = component(components[name]) if name in components else NONE
        rows.append([name, described, count(parameters[name]) if name in parameters else NONE])
    if parameters:
        model = sum(number for name, number in parameters.items() if name in run.options["model"])
        rows.append(["model", "what is saved", count(model)])
    parts = table("Parts of the model", ["Part", "Component", "Parameters"], rows, numeric=[2])
    if weights := run.options["model"].get("weights"):
        return join([parts, el("p", f"Started from the weights in {weights}.", class_="note")])
    return parts


def _stages(run: RunFiles) -> Html:
    trained = {stage["name"]: stage["trains"] for stage in run.composition.get("stages", [])}
    rows = [_stage(stage, trained.get(stage["name"], {})) for stage in run.planned_stages]
    head = ["Stage", "Trains", "Parameters", "Learning rate", "Data", "Length"]
    return table("What each stage trains", head, rows, numeric=[2, 3])


def _stage(stage: Mapping[str, Any], trained: Mapping[str, int]) -> list[str]:
    rates = stage["train"]
    own = {part: [key for key in rates if key.split(".")[0] == part] for part in (trained or rates)}
    parts = [part for part in own if trained.get(part, 1)]
    length = f"{count(stage['steps'])} steps" if stage.get("steps") else f"{stage['epochs']:g} epochs"
    return [
        stage["name"],
        _lines(parts),
        _lines([count(trained[part]) if part in trained else NONE for part in parts]),
        _lines([", ".join(rate(rates[key]) for key in own[part]) or NONE for part in parts]),
        _lines(list(dict.fromkeys(data["type"] for data in stage["data"]))),
        _lines([length, f"batch {count(stage['batch_size'])}"]),
    ]


def _lines(items: list[str]) -> Html:
    return join(el("span", item, class_="line") for item in items)
