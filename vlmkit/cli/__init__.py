"""The command line: one small module per command, errors as one clear message."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from vlmkit._version import __version__
from vlmkit.cli import (
    ablate_command,
    agreement_command,
    answer_commands,
    ask_command,
    bench,
    benchmark_commands,
    chat_command,
    compare_command,
    demo_command,
    design_command,
    experiments,
    export_command,
    installed,
    measuring,
    planning,
    rank_command,
    report_command,
    rescore_command,
    scaffold_commands,
    serve_command,
    transformers_command,
    verify_command,
)
from vlmkit.cli.plugin_commands import PASSED_ON, plugin_command, plugin_command_names
from vlmkit.errors import UserError
from vlmkit.guard import error_text, is_out_of_memory
from vlmkit.runtime import lost_peers, rank, wait_unless_first

__all__ = ["app", "main"]

_INTERRUPTED = 130
"""The exit code that typer gives for Ctrl-C."""
_PIPE_CLOSED = 141
"""The exit code of a process whose output nobody reads."""


_UsageError: Any = typer.BadParameter.__base__
"""Of click, of which newer versions of typer hold their own copy."""


@contextmanager
def _first_process_reports() -> Iterator[None]:
    """Let the first of several processes say what is wrong with the command line that they share."""
    try:
        yield
    except _UsageError:
        wait_unless_first()
        raise


class _Commands(TyperGroup):
    """All commands: vlmkit's own, and those that installed packages add."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names, vlmkit's own first."""
        return list(dict.fromkeys([*super().list_commands(ctx), *plugin_command_names()]))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name; one of vlmkit's own goes before that of a package."""
        return super().get_command(ctx, cmd_name) or plugin_command(cmd_name)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Read the options before the command."""
        with _first_process_reports():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        """Read what follows, and run the command."""
        with _first_process_reports():
            return super().invoke(ctx)


app = typer.Typer(
    name="vlmkit",
    cls=_Commands,
    help="Compose, train and measure encoder-free video-language models out of plugins.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(experiments.run)
app.command("check")(experiments.check)
app.command("train")(experiments.train)
app.command("ablate")(ablate_command.ablate)
app.command("design")(design_command.design)
app.command("eval")(measuring.evaluate)
app.command("judge")(measuring.judge)
app.command("report")(report_command.report)
app.command("ask")(ask_command.ask_questions)
app.command("chat")(chat_command.chat_in_turns)
app.add_typer(bench.app, name="bench")
app.add_typer(benchmark_commands.app, name="benchmarks")
app.add_typer(answer_commands.app, name="answers")
app.command("rescore")(rescore_command.rescore_answers)
app.command("rank")(rank_command.rank)
app.command("compare")(compare_command.compare_runs)
app.command("agreement")(agreement_command.agree)
app.command("demo")(demo_command.show_demo)
app.command("export")(export_command.export)
app.command("serve")(serve_command.serve_model)
app.command("transformers", add_help_option=False, context_settings=PASSED_ON)(
    transformers_command.transformers_command
)
app.command("import")(experiments.import_checkpoint)
app.command("verify")(verify_command.verify_capsule)
app.command("power")(planning.power)
app.command("components")(installed.list_components)
app.command("plugins")(installed.list_plugins)
app.add_typer(scaffold_commands.app, name="plugin")
app.command("schema")(installed.print_schema)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"vlmkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
    local_rank: int = typer.Option(0, "--local_rank", hidden=True, help="What the deepspeed launcher adds."),
) -> None:
    if debug:
        os.environ["VLMKIT_DEBUG"] = "1"


def main() -> None:
    """Entry point: exit code 0 done, 1 a defect of vlmkit, 2 the user's input or machine, 130 interrupted, 141 nobody
    reads the output."""
    try:
        app()
    except UserError as error:
        if error.everywhere and rank():
            sys.exit(2)
        if not os.environ.get("VLMKIT_DEBUG"):
            _refuse(str(error))
        wait_unless_first()
        traceback.print_exc()  # ends with the message
        sys.exit(2)
    except SystemExit as end:
        if end.code == _INTERRUPTED:
            message = "interrupted; `run`, `train` and `eval` go on where they stopped when called again"
            print(f"vlmkit: {message}", file=sys.stderr)
        if isinstance(end.__context__, BrokenPipeError):  # whoever read the output has stopped, e.g. `head`
            sys.exit(_PIPE_CLOSED)
        raise
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _report_defect()
        place = error.filename or "the output"
        _refuse(f"{place}: cannot be written: {error.strerror}; make room and run the command again")
    except Exception as error:
        if lost_peers(error):
            print(f"vlmkit: process {rank()} stops: another one has failed, and said why", file=sys.stderr)
            sys.exit(2)
        if not is_out_of_memory(error):
            _report_defect()
        found = f"this machine's memory does not suffice ({error_text(error)})"
        _refuse(f"{found}; make the model, its input or batches smaller", trace=True)


def _refuse(message: str, *, trace: bool = False) -> NoReturn:
    wait_unless_first()
    if trace and os.environ.get("VLMKIT_DEBUG"):
        traceback.print_exc()
    print(f"vlmkit: {message}", file=sys.stderr)
    sys.exit(2)


def _report_defect() -> NoReturn:
    wait_unless_first()
    traceback.print_exc()
    print("vlmkit: this is a defect of vlmkit or of a plugin; please report the lines above", file=sys.stderr)
    sys.exit(1)
