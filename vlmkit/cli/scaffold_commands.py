"""`vlmkit plugin`: a new plugin package, and the checks of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from vlmkit.errors import PluginError
from vlmkit.formatting import plural
from vlmkit.scaffold.new_package import TEMPLATE_KINDS, new_package

__all__ = ["app"]

app = typer.Typer(help="A new plugin package, and the checks of one.", no_args_is_help=True)


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of package and component, e.g. my-aligner.")],
    kind: Annotated[str, typer.Option(metavar="KIND", help=f"What it offers: {', '.join(TEMPLATE_KINDS)}.")],
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where its folder NAME is made.")] = Path(),
) -> None:
    """Write a package with a small component that works: options, code, tests, a file that uses it."""
    place = new_package(name, kind, to)
    files = sorted(file.relative_to(place).as_posix() for file in place.rglob("*") if file.is_file())
    typer.echo("\n".join([f"made: {place}", *(f"  {file}" for file in files)]))
    typer.echo(f"next: cd {place} && pip install -e '.[test]' && pytest && vlmkit plugin check")
    typer.echo(f"then: vlmkit check {name}.yaml")


@app.command("check")
def check(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="[FOLDER]", help="Folder of the package, or a plugin that is one file.", show_default=False
        ),
    ] = Path(),
) -> None:
    """Run the checks of vlmkit's kit over all that an installed package offers; exit code 2 where one is broken."""
    from vlmkit.scaffold.plugin_check import check_plugin, plugins_in

    total = broken = 0
    for plugin in plugins_in(folder):
        typer.echo(f"{plugin.name} ({plugin.package})")
        for outcome in check_plugin(plugin):
            reason = f": {outcome.broken}" if outcome.broken else ""
            state = "broken" if outcome.broken else "ok"
            typer.echo(f"  {state:6}  {outcome.kind}  {outcome.name}  {outcome.check}{reason}")
            total, broken = total + 1, broken + bool(outcome.broken)
    if broken:
        raise PluginError(f"{broken} of {plural(total, 'check')} broken, see above")
    typer.echo(f"{plural(total, 'check')}, none broken")
