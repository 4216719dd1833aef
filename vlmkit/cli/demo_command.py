"""`vlmkit demo`: a page to try one or two models on one's own videos."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vlmkit.errors import UserError

__all__ = ["show_demo"]


def show_demo(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A run, or the folder of a saved model.")],
    second: Annotated[Path | None, typer.Argument(metavar="[MODEL2]", help="Another one, shown beside it.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0: all of this machine's.")] = "127.0.0.1",
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="By default the first free one from 7860 on.")
    ] = None,
    share: Annotated[bool, typer.Option("--share", help="Also a public address, through Gradio's servers.")] = False,
    max_file_size: Annotated[int, typer.Option(min=1, metavar="MIB", help="Largest upload.")] = 200,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Longest answer.")] = 256,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda or cuda:N; by default a GPU where there is one.")
    ] = None,
) -> None:
    """Open a page to drop a video, ask about it, and see the answer and the frames that the model used.

    Uploads stay on this machine and are deleted after an hour, and when the page ends.
    """
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise UserError("the demo page needs Gradio: run `pip install 'vlmkit[demo]'`") from error
    from vlmkit.demo.demo_server import DemoOptions, open_demo

    options = DemoOptions(host, port, share, max_file_size, max_new_tokens)
    open_demo([model] if second is None else [model, second], options, device, typer.echo)
