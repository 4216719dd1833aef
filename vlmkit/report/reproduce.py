"""How to get the same numbers again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from vlmkit.report.html import Html, el, join, table
from vlmkit.report.run import RunFiles
from vlmkit.spec import sha256

__all__ = ["reproduce"]


def reproduce(run: RunFiles) -> Html:
    """Command, checksum of the spec, versions, and the spec itself."""
    verb = "run" if run.planned_stages else "eval"
    steps = "Save the spec at the end of this page as spec.yaml, install the versions below, and run"
    blocks = [el("p", steps), el("pre", el("code", f"vlmkit {verb} spec.yaml"))]
    rows = [["seed", str(run.options["seed"])], *_checksums(run)]
    blocks.append(table("What decides the numbers", ["Of", "Value"], rows))
    for number, environment in enumerate(run.environments, 1):
        which = f" {number} of {len(run.environments)}" if len(run.environments) > 1 else ""
        blocks.append(table(f"Environment{which}", ["Of", "Value"], _environment(environment)))
    if not run.environments:
        blocks.append(el("p", "This run holds no environment.json, so versions are not known.", class_="note"))
    blocks.append(_details("The resolved spec", run.spec_text))
    return join(blocks)


def _checksums(run: RunFiles) -> Iterator[list[str]]:
    current = sha256(run.spec) if run.spec else ""
    if current:
        yield ["spec, SHA-256", current]
    for name, result in run.results.items():
        if (made_with := result.get("spec_sha256")) and made_with != current:
            yield [f"spec of the {name} result, SHA-256", made_with]


def _environment(environment: dict[str, Any]) -> Iterator[list[str]]:
    for key, value in environment.items():
        if isinstance(value, dict):
            yield [key, ", ".join(f"{name} {version}" for name, version in value.items())]
        elif isinstance(value, list):
            yield [key, ", ".join(_plugin(item) if isinstance(item, dict) else str(item) for item in value)]
        elif value is not None:
            yield [key.replace("_", " "), str(value)]


def _plugin(plugin: dict[str, str]) -> str:
    state = "" if plugin["state"] == "loaded" else f", {plugin['state']}"
    return f"{plugin['name']} ({plugin['package']}{state})"


def _details(title: str, text: str) -> Html:
    return el("details", el("summary", title), el("pre", el("code", text), tabindex="0"))
