"""Errors of the HTTP server in the shape of OpenAI's API: `{"error": {message, type, param, code}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlmkit.errors import UserError

__all__ = ["CLIENT_GONE", "ApiError", "ClientGone", "bad_request", "busy", "out_of_time"]

CLIENT_GONE = 499
"""How a request is counted whose client has hung up; no status of HTTP."""


class ApiError(Exception):
    """A request that gets no answer, with what its client is told."""

    def __init__(
        self,
        status: int,
        message: object,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Take the HTTP status, what is wrong and what to do, and the field of the request that is to blame.

        `code` is a word for programs, e.g. `model_not_found`.
        """
        super().__init__(str(message))
        self.status, self.code, self.param = status, code, param
        self.headers = dict(headers or {})

    @property
    def type(self) -> str:
        """The kind of the error as OpenAI names it."""
        if self.status >= 500:
            return "server_error"
        return "rate_limit_error" if self.status == 429 else "invalid_request_error"

    def body(self) -> dict[str, Any]:
        """The JSON that the client gets."""
        return {"error": {"message": str(self), "type": self.type, "param": self.param, "code": self.code}}


class ClientGone(Exception):  # noqa: N818 -- it says what happened
    """Nobody waits for the answer any more."""


def bad_request(message: UserError | str, param: str | None = None, code: str | None = None) -> ApiError:
    """Return the error for a request that cannot be answered as it is: status 400."""
    return ApiError(400, message, param=param, code=code)


def busy(message: str, seconds: int, status: int = 429) -> ApiError:
    """Return the error for a request that may be sent again after so many seconds."""
    return ApiError(status, message, code="server_busy", headers={"Retry-After": str(seconds)})


def out_of_time(seconds: float, *, running: bool) -> ApiError:
    """Return the error for a request that took too long, waiting (503) or already running (504)."""
    if not running:
        return busy(f"the request waited {seconds:g} s without its turn; send it again later", 1, status=503)
    message = f"the answer was not complete after {seconds:g} s; ask for fewer tokens, or stream it"
    return ApiError(504, message, code="request_timeout")
