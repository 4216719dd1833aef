"""`vlmkit serve`: a model behind OpenAI's chat completions, with videos."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from vlmkit.errors import UserError

__all__ = ["serve_model"]

_MIB = 1 << 20
_LOCAL = ("127.0.0.1", "localhost", "::1")


def serve_model(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A run folder, or the folder of a saved model.")],
    host: Annotated[str, typer.Option(help="The address to listen at; 0.0.0.0: all of this machine.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    device: Annotated[str | None, typer.Option(help="cpu, cuda or cuda:N; by default the first GPU, else cpu.")] = None,
    api_key_env: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Environment variable with the key that clients have to send."),
    ] = None,
    allow_files: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Read videos that requests name by file:// below this folder."),
    ] = None,
    allow_urls: Annotated[
        bool, typer.Option("--allow-urls", help="Fetch videos from http(s):// URLs with public addresses.")
    ] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Waiting requests that are answered together.")] = 8,
    max_waiting: Annotated[int, typer.Option(min=1, help="Requests that may wait besides; further ones get 429.")] = 64,
    max_request_bytes: Annotated[
        int, typer.Option(min=1024, help="The largest request, and the largest video behind a URL.")
    ] = 64 * _MIB,
    max_tokens: Annotated[int, typer.Option(min=1, help="The longest answer that may be asked for.")] = 1024,
    max_frames: Annotated[int, typer.Option(min=1, help="The most frames that may be asked for by sampling.")] = 128,
    request_seconds: Annotated[
        float, typer.Option(min=0.1, help="The longest that a request may wait and run.")
    ] = 120.0,
    read_seconds: Annotated[
        float, typer.Option(min=0.1, help="The longest that a request may take to come in.")
    ] = 30.0,
    stop_seconds: Annotated[
        float, typer.Option(min=0.0, help="After SIGTERM, how long running requests may go on.")
    ] = 30.0,
    video_memory_bytes: Annotated[
        int, typer.Option(min=0, help="Encoded videos to keep for further questions about them.")
    ] = 256 * _MIB,
    decoders: Annotated[int, typer.Option(min=1, help="Videos that are decoded at once.")] = 2,
) -> None:
    """Serve a model over HTTP as OpenAI's chat completions, with videos and pictures in the messages.

    Beside POST /v1/chat/completions there are GET /v1/models, /health and /metrics. SIGTERM ends it: new requests are
    refused, running ones are answered.
    """
    key = _key(api_key_env)
    if allow_files is not None and not allow_files.is_dir():
        raise UserError(f"--allow-files {allow_files}: expected a folder, found none; correct its path")
    try:
        from vlmkit.serve.limits import ServerLimits
        from vlmkit.serve.server import serve
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "prometheus_client", "starlette", "uvicorn"):
            raise
        raise UserError(f"serving needs {error.name}, which is missing; pip install 'vlmkit[serve]'") from None
    if key is None and host not in _LOCAL:
        typer.echo("vlmkit: anyone who reaches this machine may ask: --api-key-env NAME demands a key", err=True)
    limits = ServerLimits(
        batch_size=batch_size, max_waiting=max_waiting, max_request_bytes=max_request_bytes, max_tokens=max_tokens,
        max_frames=max_frames, request_seconds=request_seconds, read_seconds=read_seconds, stop_seconds=stop_seconds,
        video_memory_bytes=video_memory_bytes, decoders=decoders, files=allow_files, urls=allow_urls,
    )  # fmt: skip
    serve(model, host, port, limits, key=key, device=device)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the end of an interpreter with torch takes seconds, and waits for a decoder that hangs


def _key(name: str | None) -> str | None:
    """Return the API key, which is never shown."""
    if name is None:
        return None
    key = os.environ.get(name, "").strip()
    if not key:
        raise UserError(f"--api-key-env {name}: this environment variable is not set; put the key into it")
    if not key.isascii():
        raise UserError(f"--api-key-env {name}: expected a key of ASCII characters; put another one into it")
    return key
