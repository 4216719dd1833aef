"""The application of the server, with a model that answers when it is told to: statuses, limits, and their counts."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from vlmkit.chat.chat_model import ChatRequest, Reply
from vlmkit.serve.limits import ServerLimits
from vlmkit.serve.server import ChatServer

CHAT = "/v1/chat/completions"
JSON = {"Content-Type": "application/json"}


class Slow:
    """A model that answers `ada bob`, word by word, when it is let go."""

    name = "slow"
    spec = SimpleNamespace(backbone=SimpleNamespace(positions=None))

    def __init__(self) -> None:
        self.go, self.asked, self.cancelled, self.is_stuck = threading.Event(), 0, 0, False

    def look(self, source: Any, span: None, sampling: Any) -> Any:
        raise ZeroDivisionError("a defect")

    def tokens(self, request: ChatRequest) -> Any:
        return SimpleNamespace(ids=[1, 2, 3])

    def reply(
        self,
        requests: Sequence[ChatRequest],
        on_text: Callable[[int, str], None],
        cancelled: Callable[[int], bool],
        on_reply: Callable[[int, Reply], None],
    ) -> None:
        self.asked += len(requests)
        if requests[0].messages[0]["content"] == "half":
            on_text(0, "ada")
            raise ZeroDivisionError("a defect")
        while not self.go.wait(0.01):
            if not self.is_stuck and all(map(cancelled, range(len(requests)))):
                self.cancelled += len(requests)
                break
        for piece in ("ada", " bob"):
            for row in range(len(requests)):
                on_text(row, piece)
        for row in range(len(requests)):
            on_reply(row, Reply("ada bob", "stop", 3, 2))


class Serving:
    """An application and its client."""

    def __init__(self, **limits: Any) -> None:
        self.model = Slow()
        model: Any = self.model
        self.server = ChatServer(model, ServerLimits(**limits))
        transport = httpx.ASGITransport(self.server.app, raise_app_exceptions=False)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://server")

    async def ask(self, question: str = "how", **fields: Any) -> httpx.Response:
        return await self.client.post(CHAT, json={"messages": [{"role": "user", "content": question}], **fields})

    def count(self, status: int) -> float:
        """How many chat requests ended so."""
        return float(self.server.metrics.requests.labels(str(status))._value.get())

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not reached():
                await asyncio.sleep(0.005)


def run(test: Callable[[Serving], Awaitable[None]], **limits: Any) -> None:
    async def work() -> None:
        serving = Serving(**limits)
        try:
            async with asyncio.timeout(30):
                await test(serving)
            assert (serving.server.admission.active, serving.server.admission.held) == (0, 0)
        finally:
            serving.model.go.set()
            serving.server.batcher.close()

    asyncio.run(work())


def test_an_answer_and_a_stream_are_the_same_text() -> None:
    async def test(serving: Serving) -> None:
        serving.model.go.set()
        whole = (await serving.ask()).json()
        assert whole["choices"][0]["message"]["content"] == "ada bob"
        assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        stream = await serving.ask(stream=True)
        assert stream.headers["content-type"].startswith("text/event-stream")
        events = [event.removeprefix("data: ") for event in stream.text.split("\n\n")]
        assert events[-2:] == ["[DONE]", ""]
        chunks = [json.loads(event) for event in events[:-2]]
        assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "ada", " bob", None]
        assert {chunk["id"] for chunk in chunks} == {chunks[0]["id"]} != {whole["id"]}
        assert serving.count(200) == 2

    run(test)


def test_a_request_whose_turn_does_not_come_is_refused_and_one_past_the_queue_at_once() -> None:
    async def test(serving: Serving) -> None:
        serving.model.is_stuck = True
        running = asyncio.create_task(serving.ask())
        await serving.until(lambda: serving.model.asked == 1)
        waiting = asyncio.create_task(serving.ask())
        await serving.until(lambda: serving.server.batcher.waiting == 1)
        further = await serving.ask()
        assert (further.status_code, further.headers["Retry-After"]) == (429, "1")
        refused = await waiting
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
        assert "waited" in refused.json()["error"]["message"]
        assert (await running).status_code == 504
        assert [serving.count(status) for status in (429, 503, 504)] == [1, 1, 1]

    run(test, batch_size=1, max_waiting=1, request_seconds=0.6)


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    async def test(serving: Serving) -> None:
        late = await serving.ask()
        assert (late.status_code, late.json()["error"]["code"]) == (504, "request_timeout")
        await serving.until(lambda: serving.model.cancelled == 1)

    run(test, request_seconds=0.2)


def test_a_client_that_goes_away_is_not_answered() -> None:
    async def test(serving: Serving) -> None:
        for stream in (False, True):
            asked = asyncio.create_task(serving.ask(stream=stream))
            await serving.until(lambda: serving.server.batcher.running == 1)
            asked.cancel()
            await serving.until(lambda: serving.server.batcher.running == 0)
        assert serving.model.cancelled == 2

    run(test)


def test_a_server_that_stops_takes_no_further_request() -> None:
    async def test(serving: Serving) -> None:
        running = asyncio.create_task(serving.ask())
        await serving.until(lambda: serving.model.asked == 1)
        serving.server.admission.stopping = True
        assert (await serving.ask()).status_code == 503
        assert (await serving.client.get("/health")).json() == {"status": "stopping", "model": "slow"}
        assert (await serving.client.get("/health/live")).status_code == 200
        serving.model.go.set()
        assert (await running).status_code == 200

    run(test)


def test_a_defect_is_no_fault_of_the_client() -> None:
    async def test(serving: Serving) -> None:
        part = {"type": "image", "base64": "eA=="}
        broken = await serving.client.post(CHAT, json={"messages": [{"role": "user", "content": [part]}]})
        assert (broken.status_code, broken.json()["error"]["type"]) == (500, "server_error")
        stream = await serving.ask("half", stream=True)
        last = json.loads(stream.text.strip().split("\n\n")[-1].removeprefix("data: "))
        assert (stream.status_code, last["error"]["type"]) == (200, "server_error")
        assert serving.count(500) == 2

    run(test)


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_large_is_refused_whatever_is_announced(announced: bool) -> None:
    async def test(serving: Serving) -> None:
        read: list[bytes] = []

        async def content() -> AsyncIterator[bytes]:
            for _ in range(100):
                read.append(bytes(50))
                yield read[-1]

        headers = {**JSON, "Content-Length": "5000"} if announced else JSON
        refused = await serving.client.post(CHAT, content=content(), headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "request_too_large")

    run(test, max_request_bytes=120)


def test_the_bodies_of_all_requests_have_a_limit_together() -> None:
    async def test(serving: Serving) -> None:
        body = json.dumps({"messages": [{"role": "user", "content": "how"}]}).encode()
        go = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield body
            await go.wait()

        asked = [asyncio.create_task(serving.client.post(CHAT, content=slowly(), headers=JSON)) for _ in range(6)]
        await serving.until(lambda: sum(one.done() for one in asked) == 2)
        assert {one.result().status_code for one in asked if one.done()} == {429}
        go.set()
        serving.model.go.set()
        assert sorted([(await one).status_code for one in asked]) == [200] * 4 + [429] * 2

    length = len(json.dumps({"messages": [{"role": "user", "content": "how"}]}))
    run(test, max_request_bytes=length)


def test_a_body_that_comes_in_slowly_is_refused() -> None:
    async def test(serving: Serving) -> None:
        async def slowly() -> AsyncIterator[bytes]:
            yield b"{"
            await asyncio.sleep(5)

        late = await serving.client.post(CHAT, content=slowly(), headers=JSON)
        assert (late.status_code, late.json()["error"]["code"]) == (408, "request_timeout")

    run(test, read_seconds=0.1)
