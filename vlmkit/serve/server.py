"""The HTTP server: OpenAI's chat completions with videos, the list of models, health and metrics."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException

from vlmkit.chat.chat_model import ChatModel
from vlmkit.runtime import share_one_heap
from vlmkit.serve.api_errors import CLIENT_GONE, ApiError, ClientGone
from vlmkit.serve.batcher import Batcher
from vlmkit.serve.chat_endpoint import ChatEndpoint
from vlmkit.serve.http_server import GracefulServer, bind, uvicorn_config
from vlmkit.serve.limits import Admission, ServerLimits
from vlmkit.serve.openai_replies import model_entry
from vlmkit.serve.request_gate import CHAT, RequestGate, error_response
from vlmkit.serve.serve_metrics import ServerMetrics
from vlmkit.serve.video_sources import VideoMemory, VideoSources

__all__ = ["ChatServer", "serve"]


class ChatServer:
    """One model behind HTTP: what its parts share, and the application."""

    def __init__(self, model: ChatModel, limits: ServerLimits, key: str | None = None) -> None:
        self.model, self.limits = model, limits
        self.admission, self.metrics = Admission(limits), ServerMetrics()
        self.memory = VideoMemory(limits.video_memory_bytes)
        self.batcher = Batcher(model, self.memory, limits.batch_size, self.admission, self.metrics)
        self._created = int(time.time())
        self._watch()
        self.app = FastAPI(title="vlmkit", openapi_url=None, lifespan=self._lifespan)
        self.app.add_middleware(RequestGate, admission=self.admission, metrics=self.metrics, key=key)
        self._add_routes()
        self._add_errors()

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        yield
        self.batcher.close()

    def _watch(self) -> None:
        watched: dict[str, tuple[str, Callable[[], float]]] = {
            "requests_waiting": ("Requests that wait for the model.", lambda: self.batcher.waiting),
            "requests_running": ("Requests that the model answers now.", lambda: self.batcher.running),
            "requests_in_work": ("Requests in work, those that come in included.", lambda: self.admission.active),
            "held_bytes": ("Bytes of bodies and fetched videos.", lambda: self.admission.held),
            "video_memory_bytes": ("Bytes of encoded videos that are remembered.", lambda: self.memory.bytes),
        }
        for name, (meaning, value) in watched.items():
            self.metrics.watch(name, meaning, value)

    def _add_routes(self) -> None:
        app, model = self.app, model_entry(self.model.name, self._created)
        sources = VideoSources(self.model.look, self.memory, self.limits)
        chat = ChatEndpoint(self.model, self.batcher, sources, self.admission)

        @app.post(CHAT)
        async def answer(request: Request) -> Response:
            return await chat(request)

        @app.get("/v1/models")
        async def models() -> Response:
            return JSONResponse({"object": "list", "data": [model]})

        @app.get("/v1/models/{name:path}")
        async def one_model(name: str) -> Response:
            if name != self.model.name:
                raise ApiError(404, f"there is no such model here; this server has {self.model.name}", param="model",
                               code="model_not_found")  # fmt: skip
            return JSONResponse(model)

        @app.get("/health/live")
        async def live() -> Response:
            alive = self.batcher.alive
            return JSONResponse({"status": "live" if alive else "dead"}, 200 if alive else 500)

        @app.get("/health")
        @app.get("/health/ready")
        async def ready() -> Response:
            is_ready = self.batcher.alive and not self.admission.stopping
            status = "ready" if is_ready else "stopping" if self.batcher.alive else "dead"
            return JSONResponse({"status": status, "model": self.model.name}, 200 if is_ready else 503)

        @app.get("/metrics")
        async def metrics() -> Response:
            return Response(self.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _add_errors(self) -> None:
        @self.app.exception_handler(ApiError)
        async def refuse(request: Request, error: ApiError) -> Response:
            return error_response(error)

        @self.app.exception_handler(ClientGone)
        async def forget(request: Request, error: ClientGone) -> Response:
            return Response(status_code=CLIENT_GONE)

        @self.app.exception_handler(HTTPException)
        async def no_route(request: Request, error: HTTPException) -> Response:
            places = "POST /v1/chat/completions, GET /v1/models, /health, /health/live and /metrics"
            message = f"{request.method} {request.url.path}: {error.detail}; this server has {places}"
            return error_response(ApiError(error.status_code, message, headers=error.headers))

        @self.app.exception_handler(Exception)
        async def fail(request: Request, error: Exception) -> Response:
            return error_response(ApiError(500, "the server failed on this request; its log says why"))


def serve(
    target: str | Path,
    host: str,
    port: int,
    limits: ServerLimits,
    *,
    key: str | None = None,
    device: str | None = None,
) -> None:
    """Load a model and serve it until SIGTERM or SIGINT.

    A UserError where the address or the model cannot be had. The address is printed once requests are taken. A decoder
    that hangs is left behind in its thread.
    """
    with bind(host, port) as sock:
        address = f"http://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
        share_one_heap()
        server = ChatServer(ChatModel.open(target, device), limits, key)

        def say_ready() -> None:
            print(f"vlmkit serves {server.model.name} at {address}/v1", flush=True)

        config = uvicorn_config(server.app, limits.read_seconds)
        GracefulServer(config, server.admission, server.batcher.cut, say_ready).run(sockets=[sock])
