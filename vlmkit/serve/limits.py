"""Limits of the HTTP server: size and time of a request, requests that wait; a body that is read within them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect

from vlmkit.serve.api_errors import ApiError, ClientGone, busy

if TYPE_CHECKING:
    from starlette.requests import Request

__all__ = ["Admission", "HeldBytes", "ServerLimits", "read_body", "too_large"]


@dataclass(frozen=True)
class ServerLimits:
    """Sizes, times and sources that a server allows."""

    batch_size: int = 8
    """Requests that are answered in one batch."""
    max_waiting: int = 64
    """Requests that may wait besides."""
    max_request_bytes: int = 64 << 20
    """The largest body, and the largest video behind a URL."""
    max_tokens: int = 1024
    """The longest answer that may be asked for."""
    max_frames: int = 128
    """The most frames that a request may ask for by `sampling`."""
    request_seconds: float = 120.0
    """From when a request is here until it is answered."""
    read_seconds: float = 30.0
    """For a request to come in."""
    stop_seconds: float = 30.0
    """For running requests to end when the server is stopped."""
    video_memory_bytes: int = 256 << 20
    """Of encoded videos that are kept for further questions about them."""
    decoders: int = 2
    """Videos that are decoded at once."""
    files: Path | None = None
    """The folder below which `file://` URLs may point; None: nowhere."""
    urls: bool = False
    """True: videos may be fetched from `http(s)://` URLs."""

    @property
    def held_bytes(self) -> int:
        """The most bytes of bodies and fetched videos that are in memory at once."""
        return 4 * self.max_request_bytes


class Admission:
    """Counts the requests that are in work and the bytes that they hold, and refuses what is too much."""

    def __init__(self, limits: ServerLimits) -> None:
        self.limits = limits
        self.active = 0
        """Requests in work."""
        self.held = 0
        """Bytes of their bodies and videos."""
        self.stopping = False
        """True: no further request is taken."""
        self.batch_seconds = 1.0
        """How long the last batch took."""

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """Count one request. An ApiError where the server stops or too many wait."""
        if self.stopping:
            raise busy("the server is being stopped; send the request to another one", 1, status=503)
        if self.active >= self.limits.max_waiting + self.limits.batch_size:
            raise busy(f"{self.active} requests are waiting; send this one again later", self._patience())
        self.active += 1
        try:
            yield
        finally:
            self.active -= 1

    @contextmanager
    def holding(self) -> Iterator[HeldBytes]:
        """Count what one request holds, until the block ends."""
        held = HeldBytes(self)
        try:
            yield held
        finally:
            held.release()

    def hold(self, size: int) -> None:
        """Count more bytes. An ApiError where that is too much for all requests together."""
        if self.held + size > self.limits.held_bytes:
            raise busy("too many large requests are in work; send this one again later", self._patience())
        self.held += size

    def _patience(self) -> int:
        """Return after how many seconds a place may be free."""
        return min(60, max(1, math.ceil(self.batch_seconds)))


class HeldBytes:
    """The bytes that one request holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.size = admission, 0

    def add(self, size: int) -> None:
        """Count more of it. An ApiError where it is too much."""
        self._admission.hold(size)
        self.size += size

    def release(self) -> None:
        """Count nothing of it any more."""
        self._admission.held -= self.size
        self.size = 0


async def read_body(request: Request, limits: ServerLimits, held: HeldBytes) -> bytes:
    """Return the body of a request.

    An ApiError where it is too large, whatever its headers say, or takes too long to come in. ClientGone where it is
    cut off.
    """
    most = limits.max_request_bytes
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:20]) > most:
        raise too_large(most)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.read_seconds):
            async for chunk in request.stream():
                if len(body) + len(chunk) > most:
                    raise too_large(most)
                held.add(len(chunk))
                body += chunk
    except TimeoutError:
        message = f"the request was not here within {limits.read_seconds:g} s"
        raise ApiError(408, message, code="request_timeout") from None
    except ClientDisconnect:
        raise ClientGone from None
    return bytes(body)


def too_large(most: int) -> ApiError:
    """Return the error for a request of more than so many bytes."""
    message = f"expected a request of at most {most:,} bytes, found more; shorten the video or make it smaller"
    return ApiError(413, message, code="request_too_large")
