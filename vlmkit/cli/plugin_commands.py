"""Commands that installed packages add: entry points of the group `vlmkit.commands`.

    [project.entry-points."vlmkit.commands"]
    lm-eval = "vlmkit_lm_eval:command"

The entry point is a function of what follows the command (`list[str]`); the first line of its docstring is its help. It
is imported when that command is called, or when `vlmkit --help` lists all. Whatever it raises becomes one message that
names the package, and exit code 2; a UserError passes as it is. VLMKIT_PLUGINS chooses components, not commands.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer

from vlmkit.errors import PluginError, UserError
from vlmkit.guard import FAULTS, error_text, is_machine_error

__all__ = ["PASSED_ON", "plugin_command", "plugin_command_names"]

_GROUP = "vlmkit.commands"
PASSED_ON = {"allow_extra_args": True, "allow_interspersed_args": False, "ignore_unknown_options": True}
"""Settings of a command that gets everything behind its name as it is."""


def plugin_command_names() -> list[str]:
    """Return the names of all commands that packages add, sorted; nothing is imported."""
    return sorted(entry_points(group=_GROUP).names)


def plugin_command(name: str) -> Any:
    """Return the click command of this name, None where no package adds it. Options are left to it, `--help` too."""
    points = list(entry_points(group=_GROUP, name=name))
    if not points:
        return None
    app = typer.Typer(add_completion=False)

    @app.command(name, help=_help(points), add_help_option=False, context_settings=PASSED_ON)
    def run(context: typer.Context) -> None:
        function = _load(points)
        try:
            function(context.args)
        except Exception as error:
            if isinstance(error, UserError) or is_machine_error(error):
                raise
            raise PluginError(f"{_whose(points[0])} raised {error_text(error)} (--debug shows where)") from error

    return typer.main.get_command(app)


def _help(points: list[EntryPoint]) -> str:
    """Return the first line of the docstring, or why there is none."""
    try:
        return (_load(points).__doc__ or "").strip().partition("\n")[0]
    except PluginError as error:
        return f"Cannot be used: {error}"


def _load(points: list[EntryPoint]) -> Callable[[list[str]], object]:
    """Return the function. A PluginError where it cannot be imported, or several packages add the command."""
    if len(points) > 1:
        owners = " and ".join(map(_owner, points))
        raise PluginError(f"command {points[0].name!r}: {len(points)} packages add it: {owners}; uninstall one")
    try:
        function = points[0].load()
    except FAULTS as error:
        if is_machine_error(error):
            raise
        raise PluginError(f"{_whose(points[0])} cannot be loaded: {error_text(error)} (--debug shows where)") from error
    if not callable(function):
        raise PluginError(
            f"{_whose(points[0])}: expected a function in {points[0].value}, found {type(function).__name__}"
        )
    return function


def _whose(point: EntryPoint) -> str:
    return f"command {point.name!r} of {_owner(point)}"


def _owner(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else f"module {point.module}"
