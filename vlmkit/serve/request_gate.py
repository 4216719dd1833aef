"""The gate before the API: each request needs the key and a place among those in work, and its end is counted."""

from __future__ import annotations

import asyncio
import hmac
import time
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse

from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.limits import Admission

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from vlmkit.serve.serve_metrics import ServerMetrics

__all__ = ["API", "CHAT", "RequestGate", "error_response"]

API = "/v1/"
CHAT = "/v1/chat/completions"
_TO_SEND = 10.0
"""Seconds for a client to take its answer."""


class RequestGate:
    """Middleware in front of the application. Whatever is not below /v1/ passes: health and metrics."""

    def __init__(self, app: ASGIApp, *, admission: Admission, metrics: ServerMetrics, key: str | None) -> None:
        """Take the API key that clients have to send as `Authorization: Bearer KEY`; None: anyone may ask."""
        self._app, self._admission, self._metrics = app, admission, metrics
        self._key = None if key is None else f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request in, or refuse it."""
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self._app(scope, receive, send)
            return
        try:
            self._authorize(scope)
        except ApiError as error:
            await error_response(error)(scope, receive, send)
            return
        if scope["path"] == CHAT:
            await self._chat(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        begin, state = time.monotonic(), scope.setdefault("state", {})

        async def note(message: Message) -> None:
            if message["type"] == "http.response.start":
                state.setdefault("outcome", message["status"])
            await send(message)

        limits = self._admission.limits
        try:
            with self._admission.admitted():
                async with asyncio.timeout(limits.read_seconds + limits.request_seconds + _TO_SEND):
                    await self._app(scope, receive, note)
        except ApiError as error:
            await error_response(error)(scope, receive, note)
        except TimeoutError:  # its client does not take the answer; the connection is closed
            state["outcome"] = 504
        finally:
            self._metrics.requests.labels(str(state.get("outcome", 500))).inc()
            self._metrics.request_seconds.observe(time.monotonic() - begin)

    def _authorize(self, scope: Scope) -> None:
        if self._key is None:
            return
        sent: dict[bytes, bytes] = dict(scope["headers"])
        if not hmac.compare_digest(sent.get(b"authorization", b""), self._key):
            message = "expected the server's API key, as Authorization: Bearer KEY"
            raise ApiError(401, message, code="invalid_api_key", headers={"WWW-Authenticate": "Bearer"})


def error_response(error: ApiError) -> JSONResponse:
    """Return the response that tells a client of an error."""
    body: dict[str, Any] = error.body()
    return JSONResponse(body, error.status, error.headers)
