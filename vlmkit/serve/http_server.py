"""uvicorn with what it lacks: time limits for requests that come in slowly, and a stop that refuses before it ends."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vlmkit.errors import UserError
from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.limits import Admission

__all__ = ["GracefulServer", "bind", "uvicorn_config"]

_LATER = 1.0
"""Seconds for which a connection is left open after the application could have refused its request."""
_TO_SAY = 2.0
"""Seconds that are left to tell clients that their requests are dropped."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket with this address; port 0: a free one. A UserError where it cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise UserError(
            f"{host}:{port}: this address cannot be served: {error}; give another --host or --port (0: a free one)"
        ) from None


def _timed_protocol(seconds: float) -> type[H11Protocol]:
    """Return uvicorn's protocol, which closes a connection whose request is not here after so many seconds."""

    class TimedProtocol(H11Protocol):
        """The timer runs from when a connection is made, or the first bytes of its next request come.

        A client that still sends is heard for a moment after its refusal: a closed connection would take that from it.
        """

        _timer: asyncio.TimerHandle | None = None
        _refused = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect()

        def data_received(self, data: bytes) -> None:
            if not self._refused:
                super().data_received(data)
                self._expect()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _expect(self) -> None:
            if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
                self._stop_timer()
            elif self._timer is None:
                self._timer = self.loop.call_later(seconds + _LATER, self._give_up)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _give_up(self) -> None:
            if self.transport.is_closing() or self.conn.our_state is not h11.IDLE or self.cycle is not None:
                self.transport.close()
                return
            self._refused = True
            error = ApiError(408, f"the request was not here within {seconds:g} s", code="request_timeout")
            body = json.dumps(error.body()).encode()
            headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
            start = h11.Response(
                status_code=408, headers=[*headers, ("connection", "close")], reason=b"Request Timeout"
            )
            for event in (start, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
            self._timer = self.loop.call_later(_LATER, self.transport.close)

    return TimedProtocol


class GracefulServer(uvicorn.Server):
    """Stops in steps: new requests are refused with 503, running ones end, or are dropped when the time is over."""

    def __init__(
        self, config: uvicorn.Config, admission: Admission, cut: Callable[[], None], ready: Callable[[], None]
    ) -> None:
        """`cut` drops all requests, telling their clients; `ready` is called once the server listens."""
        super().__init__(config)
        self._admission, self._cut, self._ready = admission, cut, ready
        self._stop_at = float("inf")
        self._is_cut = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._ready()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop at the first signal; stop at once at the second."""
        if self._admission.stopping:
            self.should_exit = self.force_exit = True
            return
        self._admission.stopping = True
        limit = self._admission.limits.stop_seconds
        self._stop_at = time.monotonic() + max(0.0, limit - _TO_SAY)
        print(
            f"vlmkit: {signal.Signals(sig).name}: {self._admission.active} requests in work end within {limit:g} s, "
            "new ones are refused",
            file=sys.stderr,
            flush=True,
        )

    async def on_tick(self, counter: int) -> bool:
        """Tell whether to end, ten times a second."""
        if self._admission.stopping:
            if not self._admission.active:
                return True
            if time.monotonic() >= self._stop_at:
                if self._is_cut:
                    return True
                self._is_cut = True
                self._cut()
                self._stop_at = time.monotonic() + _TO_SAY / 2
        return await super().on_tick(counter)


def uvicorn_config(app: Any, read_seconds: float) -> uvicorn.Config:
    """Return uvicorn's options for the server."""
    return uvicorn.Config(
        app,
        http=_timed_protocol(read_seconds),
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
