"""An OpenAI-compatible server for tests, which answers by a rule and fails as it is told to."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

WORK, STALL = 0.03, 0.3
"""Seconds for which a reply is on its way, and one that is stalled; the latter ends before the client gives up."""


class ChatServer(ThreadingHTTPServer):
    """Replies to each chat with `{'pred': …, 'score': …}` of the number in its question: even is right, score n % 6.

    `fault(question, attempt)` names what happens to an attempt (1, 2, …); "" is a proper reply.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, fault: Callable[[int, int], str]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fault = fault
        self.lock = threading.Lock()
        self.attempts: Counter[int] = Counter()
        self.served: Counter[int] = Counter()
        self.on_their_way = self.most = 0
        self.bodies: list[dict[str, Any]] = []
        self.keys: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other side has hung up."""


class _Handler(BaseHTTPRequestHandler):
    server: ChatServer
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Say nothing."""

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Authorization"].removeprefix("Bearer ")
        found = re.search(r"number (\d+)", body["messages"][-1]["content"])
        assert found is not None
        number = int(found[1])
        with server.lock:
            server.attempts[number] += 1
            server.bodies.append(body)
            server.keys.add(key)
            server.on_their_way += 1
            server.most = max(server.most, server.on_their_way)
            fault = server.fault(number, server.attempts[number])
        time.sleep(STALL if fault == "stall" else WORK)
        with server.lock:
            server.on_their_way -= 1
        getattr(self, f"_{fault or 'proper'}")(number, body, key)

    def _send(self, status: int, content: str | bytes, kind: str = "application/json", **headers: str) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _completion(self, body: dict[str, Any], text: str | None) -> str:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": f"{body['model']}-2026-01-01",
                           "choices": [choice], "usage": usage})  # fmt: skip

    def _proper(self, number: int, body: dict[str, Any], key: str) -> None:
        reply = {"pred": "no" if number % 2 else "yes", "score": number % 6}
        self._send(200, self._completion(body, repr(reply)))
        with self.server.lock:
            self.server.served[number] += 1

    def _busy(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(429, self._error("slow down", key), Retry_After="0.05")

    def _broken(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(500, self._error("out of order", key), Retry_After="0.05")

    def _refused(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(401, self._error("Incorrect API key provided", key))

    def _bad(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(400, self._error("the prompt is too long", key))

    def _stall(self, number: int, body: dict[str, Any], key: str) -> None:
        time.sleep(2)

    def _closed(self, number: int, body: dict[str, Any], key: str) -> None:
        self.close_connection = True

    def _cut(self, number: int, body: dict[str, Any], key: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b'{"id": ')
        self.close_connection = True

    def _drip(self, number: int, body: dict[str, Any], key: str) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(100):
            self.wfile.write(b" ")
            self.wfile.flush()
            time.sleep(0.1)

    def _garbage(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(200, b"\xff\xfe<html>gateway</html>")

    def _text(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(200, f"<html>gateway {key}</html>", "text/html")

    def _strange(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(200, json.dumps({"choices": {"0": "yes"}, "usage": [1], "key": key}))

    def _silent(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(200, self._completion(body, ""))

    def _null(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(200, self._completion(body, None))

    def _talk(self, number: int, body: dict[str, Any], key: str) -> None:
        self._send(200, self._completion(body, f"As a language model with the key {key} I cannot say."))

    def _error(self, said: str, key: str) -> str:
        return json.dumps({"error": {"message": f"{said}: {key}", "type": "error", "code": None}})


@pytest.fixture
def serving() -> Iterator[Callable[..., ChatServer]]:
    """Start servers in threads, on free ports: `serving(fault)`."""
    with ExitStack() as running:

        def start(fault: Callable[[int, int], str] = lambda number, attempt: "") -> ChatServer:
            server = ChatServer(fault)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
            thread.start()
            running.callback(thread.join)
            running.callback(server.server_close)
            running.callback(server.shutdown)
            return server

        yield start
