"""`vlmkit schema`: the JSON schema of spec files, for editors."""

from __future__ import annotations

import json

import typer

__all__ = ["command"]


def command() -> None:
    """Print the JSON schema of a spec file, with the options of every installed component."""
    from vlmkit.spec.schema import json_schema

    typer.echo(json.dumps(json_schema(), indent=2))
