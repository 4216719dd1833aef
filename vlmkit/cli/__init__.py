"""The command line: one small module per command, errors as one clear message."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import NoReturn

import typer

from vlmkit import __version__
from vlmkit.cli import bench, check, components, evaluate, import_, plugins, report, run, schema, train
from vlmkit.errors import UserError

__all__ = ["app", "main"]

_INTERRUPTED = 130
"""What typer makes of Ctrl-C."""
_PIPE_CLOSED = 141
"""What a shell says of a process that ends because nobody reads its output."""

app = typer.Typer(
    name="vlmkit",
    help="Compose, train and measure encoder-free video-language models out of plugins.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.command)
app.command("check")(check.command)
app.command("train")(train.command)
app.command("eval")(evaluate.command)
app.command("report")(report.command)
app.add_typer(bench.app, name="bench")
app.command("import")(import_.command)
app.command("components")(components.command)
app.command("plugins")(plugins.command)
app.command("schema")(schema.command)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"vlmkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error."),
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    if debug:
        os.environ["VLMKIT_DEBUG"] = "1"


def main() -> None:
    """Entry point: exit code 0 done, 1 a defect of vlmkit, 2 the user's input or machine, 130 interrupted, 141 nobody
    reads the output."""
    try:
        app()
    except UserError as error:
        if os.environ.get("VLMKIT_DEBUG"):
            traceback.print_exc()  # ends with the message
        else:
            print(f"vlmkit: {error}", file=sys.stderr)
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
        message = f"{place}: cannot be written: {error.strerror}; make room and run the command again"
        print(f"vlmkit: {message}", file=sys.stderr)
        sys.exit(2)
    except Exception:
        _report_defect()


def _report_defect() -> NoReturn:
    traceback.print_exc()
    print("vlmkit: this is a defect of vlmkit or of a plugin; please report the lines above", file=sys.stderr)
    sys.exit(1)
