"""`vlmkit components`, `plugins` and `schema`: what is installed, and what can stand in a spec."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Sequence
from typing import Annotated

import typer

from vlmkit.errors import PluginError
from vlmkit.formatting import columns, markdown_table
from vlmkit.registry import KINDS, registry, unknown_kind

__all__ = ["component_table", "list_components", "list_plugins", "print_schema"]


def list_components(
    kind: Annotated[str | None, typer.Argument(help="Show only this kind, e.g. aligner.")] = None,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a Markdown table of kinds and components.")
    ] = False,
) -> None:
    """List the installed components by kind, each with the plugin that it comes from."""
    if kind is not None and kind not in KINDS:
        raise PluginError(unknown_kind(kind))
    installed = registry()
    kinds = [kind] if kind else sorted(KINDS)
    if markdown:
        typer.echo(component_table(kinds))
        return
    for shown in kinds:
        typer.echo(shown)
        offers = installed.components(shown)
        rows = [
            (offer.spec.component_name(), f"[{offer.plugin.name}, {offer.plugin.package}]", offer.description)
            for offer in offers
        ]
        typer.echo(columns(rows) if rows else "  (none)")
    broken = [plugin.name for plugin in installed.plugins if plugin.state == "broken"]
    if broken:
        typer.echo(f"broken plugins, whose components are missing here: {', '.join(broken)}; see `vlmkit plugins`")


def component_table(kinds: Sequence[str]) -> str:
    """Return a Markdown table with a row per kind and one per installed component of it."""
    rows: list[tuple[str, ...]] = []
    for kind in kinds:
        module = inspect.getmodule(KINDS[kind])
        rows.append((f"**{kind}**", "", (inspect.getdoc(module) or "").partition("\n")[0].partition(": ")[2]))
        rows += [("", f"`{offer.spec.component_name()}`", offer.description) for offer in registry().components(kind)]
    cells = [[cell.replace("|", r"\|") for cell in row] for row in rows]
    return markdown_table(("kind", "component", "what it is"), cells, left=3)


def list_plugins() -> None:
    """List the installed plugins with package, state and components; a broken one with its traceback."""
    plugins = registry().plugins
    for plugin in plugins:
        typer.echo(f"{plugin.name}: {plugin.state} ({plugin.module}, from {plugin.package})")
        if plugin.components:
            typer.echo(textwrap.fill(", ".join(plugin.components), 100, initial_indent="  ", subsequent_indent="  "))
        if plugin.trace:
            typer.echo(textwrap.indent(plugin.trace, "  | ").rstrip())
    if not plugins:
        typer.echo("no plugins are installed (entry points of the group 'vlmkit')")


def print_schema() -> None:
    """Print the JSON schema of spec, study and design-space files, with the options of every installed component."""
    from vlmkit.spec.loading import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
