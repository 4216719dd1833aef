"""`vlmkit plugins`: what is installed, and what is wrong with it."""

from __future__ import annotations

import textwrap

import typer

from vlmkit.registry import registry

__all__ = ["command"]


def command() -> None:
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
