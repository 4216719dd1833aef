"""The demo page given out by Gradio's server, until somebody ends it.

All of it stays on this machine: the page asks no other host for anything, and uploaded files are deleted.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from unittest.mock import patch

import gradio as gr

from vlmkit.chat.chat_model import ChatModel
from vlmkit.demo.demo_examples import Example, draw_examples
from vlmkit.demo.demo_model import DemoModel
from vlmkit.demo.demo_page import build_page
from vlmkit.errors import UserError

__all__ = ["DemoOptions", "launched", "open_demo"]

_CSS = Path(__file__).with_name("demo.css")
_DRAWN = "examples"
"""Folder of the clips that Gradio may give out besides what was uploaded."""
_FONT = ("system-ui", "sans-serif")
_SESSIONS = 100
"""Visitors whose conversations are remembered; the oldest are forgotten."""


@dataclass(frozen=True)
class DemoOptions:
    """How the page is given out."""

    host: str = "127.0.0.1"
    port: int | None = None
    """None: the first free one from 7860 on."""
    share: bool = False
    """Also at a public address, through Gradio's servers."""
    max_file_mib: int = 200
    """Largest upload."""
    max_new_tokens: int = 256
    """Longest answer."""


def open_demo(
    targets: Sequence[Path], options: DemoOptions, device: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Show the page until SIGINT (Ctrl-C) or SIGTERM comes.

    Args:
        targets: one model, or two to be compared: runs, or folders of saved models.
        options: how the page is given out.
        device: as torch names it.
        say: is given one line, with the address.

    Raises:
        UserError: a model cannot be loaded, or the address cannot be had.
    """
    _check_address(options)
    models = [DemoModel(ChatModel.open(target, device), options.max_new_tokens) for target in targets]
    if len({model.name for model in models}) < len(models):
        for number, model in enumerate(models, 1):
            model.name += f" ({number})"
    with TemporaryDirectory(prefix="vlmkit-demo-") as folder:
        examples = draw_examples([model.chat.folder for model in models], Path(folder) / _DRAWN)
        ended = Event()
        with launched(models, examples, Path(folder), options) as address:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: ended.set())
            say(f"{' and '.join(model.name for model in models)}: {address} (Ctrl-C ends it)")
            ended.wait()
    gc.freeze()  # or the interpreter goes through all of torch before it ends, which takes seconds


@contextmanager
def launched(
    models: Sequence[DemoModel], examples: Sequence[Example], folder: Path, options: DemoOptions
) -> Iterator[str]:
    """Give out the page while the block runs, and yield its address. Uploads go below `folder`, where examples lie."""
    with patch.dict(os.environ, _environment(options.host, folder)):
        page = build_page(models, examples)
        _, address, public = page.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            max_file_size=options.max_file_mib << 20,
            allowed_paths=[str(folder / _DRAWN)],
            theme=gr.themes.Default(font=_FONT, font_mono=("ui-monospace", "monospace")),
            css_paths=_CSS,
            footer_links=[],
            run_history=False,
            enable_monitoring=False,
            mcp_server=False,
            pwa=False,
            ssr_mode=False,
            inline=False,
            quiet=True,
            prevent_thread_lock=True,
            state_session_capacity=_SESSIONS,
        )
        if options.share and not public:
            raise UserError("--share: Gradio's servers give no public address now; leave it out, or try again later")
        try:
            yield public or address
        finally:
            for model in models:
                model.ending.set()
            page.close(verbose=False)


def _check_address(options: DemoOptions) -> None:
    """A UserError where nothing can listen at host and port; Gradio would try for minutes."""
    try:
        [(family, _, _, _, address), *_] = socket.getaddrinfo(options.host, options.port or 0, type=socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(address)
    except OSError as error:
        at = f"--host {options.host}" + (f" --port {options.port}" if options.port else "")
        raise UserError(
            f"{at}: no page can be given out there ({error.strerror or error}): the port is taken, or the address is "
            "none of this machine's; choose another one"
        ) from None


def _environment(host: str, folder: Path) -> dict[str, str]:
    """Return where Gradio keeps uploads, and that it finds its own server without a proxy."""
    already = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    direct = ",".join(filter(None, [already, "localhost", "127.0.0.1", host]))
    return {"GRADIO_TEMP_DIR": str(folder / "uploads"), "NO_PROXY": direct, "no_proxy": direct}
