"""`vlmkit transformers …`: transformers' own command line, which then knows models of vlmkit."""

from __future__ import annotations

import traceback

import typer

from vlmkit.errors import UserError
from vlmkit.guard import error_text, is_machine_error

__all__ = ["transformers_command"]


def transformers_command(context: typer.Context) -> None:
    """Run transformers' own command line with models of vlmkit, e.g. `vlmkit transformers serve RUN/model`."""
    from transformers.cli.transformers import app

    import vlmkit.model  # noqa: F401 -- transformers knows them from here on

    try:
        app(context.args, prog_name="vlmkit transformers")
    except Exception as error:
        if isinstance(error, UserError) or is_machine_error(error) or _of_vlmkit(error):
            raise
        raise UserError(f"transformers: {error_text(error)} (--debug shows where)") from error


def _of_vlmkit(error: BaseException) -> bool:
    """Return True where a function of vlmkit, or one that it called, raised this."""
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)]
    owners = [module.partition(".")[0] for module in modules if module != __name__]
    last = next((name for name in reversed(owners) if name.startswith(("vlmkit", "transformers"))), "")
    return last != "transformers"
