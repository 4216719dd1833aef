"""Requests that wait share a batch; each fails, is cancelled and is counted for itself alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vlmkit.api.video import VideoShape
from vlmkit.chat.chat_model import ChatRequest, Reply
from vlmkit.data import FittedVideo
from vlmkit.errors import UserError
from vlmkit.evaluation.answer_model import EncodedVideo
from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.batcher import Batcher, Pending
from vlmkit.serve.limits import Admission, ServerLimits
from vlmkit.serve.serve_metrics import ServerMetrics
from vlmkit.serve.video_sources import SeenVideo, VideoMemory

SHAPE = VideoShape(1, 8, 8, (0, 8, 0, 8), 1)
FITTED = FittedVideo(np.zeros((1, 8, 8, 3), np.uint8), (0, 8, 0, 8), 1)


class Echo:
    """A model with 50 tokens of context that says each question back, word by word, when it is let go.

    A question that has `refuse`, `crash` or `crash-late` in it fails its whole batch, the last one after its own text.
    """

    spec = SimpleNamespace(backbone=SimpleNamespace(positions=50))

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.limits: list[int] = []
        self.encoded: list[Any] = []
        self.go = threading.Semaphore(0)

    def tokens(self, request: ChatRequest) -> Any:
        return SimpleNamespace(ids=request.messages[0]["content"].split())

    def encode(self, video: FittedVideo) -> EncodedVideo:
        self.encoded.append(video)
        return EncodedVideo("tokens", SHAPE, 10)

    def reply(
        self,
        requests: Sequence[ChatRequest],
        on_text: Callable[[int, str], None],
        cancelled: Callable[[int], bool],
        on_reply: Callable[[int, Reply], None],
    ) -> None:
        texts = [request.messages[0]["content"] for request in requests]
        self.batches.append(texts)
        self.limits += [request.max_new_tokens for request in requests]
        assert self.go.acquire(timeout=10)
        for text in texts:
            if "refuse" in text:
                raise UserError("not this one")
            if "crash" in text.split():
                raise ZeroDivisionError
        for row, text in enumerate(texts):
            if not cancelled(row):
                on_text(row, text)
            if "crash-late" in text:
                raise MemoryError
            on_reply(row, Reply(text, "stop", len(text.split()), 1))


class Asking:
    """A batcher of two with the model, and requests to it."""

    def __init__(self) -> None:
        self.model, self.metrics, self.memory = Echo(), ServerMetrics(), VideoMemory(100)
        model: Any = self.model
        self.batcher = Batcher(model, self.memory, 2, Admission(ServerLimits()), self.metrics)

    def submit(self, text: str, longest: int | None = 5, seen: SeenVideo | None = None) -> Pending:
        pending = Pending(ChatRequest([{"role": "user", "content": text}]), [seen] if seen else [], longest)
        self.batcher.submit(pending)
        return pending

    async def batch(self, *texts: str) -> list[Pending]:
        """Have requests asked together: while another one is answered, which is let go then."""
        first = self.submit("first")
        await self.until(lambda: len(self.model.batches) == 1)
        pendings = [self.submit(text) for text in texts]
        self.model.go.release(100)
        assert await ended(first) == "first"
        return pendings

    async def until(self, reached: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not reached():
                await asyncio.sleep(0.005)


async def ended(pending: Pending) -> str | tuple[int, str]:
    """The answer, or status and message of the error."""
    pieces = []
    async with asyncio.timeout(10):
        while True:
            event = await pending.events.get()
            if isinstance(event, ApiError):
                return event.status, str(event)
            if isinstance(event, Reply):
                assert "".join(pieces) == event.text
                return event.text
            pieces.append(event)


def run(test: Callable[[Asking], Awaitable[None]]) -> None:
    async def work() -> None:
        asking = Asking()
        try:
            await test(asking)
        finally:
            asking.batcher.close()
            asking.model.go.release(100)
            await asking.until(lambda: not asking.batcher.alive)

    asyncio.run(work())


def test_requests_that_wait_are_answered_together() -> None:
    async def test(asking: Asking) -> None:
        pendings = await asking.batch("a", "b", "c")
        assert [await ended(pending) for pending in pendings] == ["a", "b", "c"]
        assert asking.model.batches == [["first"], ["a", "b"], ["c"]]
        text = asking.metrics.text().decode()
        assert "vlmkit_batch_size_sum 4.0" in text
        assert 'vlmkit_tokens_total{kind="completion"} 4.0' in text

    run(test)


def test_a_request_that_fails_does_so_alone() -> None:
    async def test(asking: Asking) -> None:
        pendings = await asking.batch("refuse", "b", "c", "crash", "crash-late", "f")
        found = [await ended(pending) for pending in pendings]
        assert found[:3] == [(400, "not this one"), "b", "c"]
        assert found[3] == (500, "the model failed on this request; the server's log says why")
        assert (found[4][0], found[5]) == (503, "f")
        assert asking.model.batches[1:4] == [["refuse", "b"], ["refuse"], ["b"]]
        assert asking.batcher.alive

    run(test)


def test_a_request_that_is_cancelled_while_it_waits_is_not_asked() -> None:
    async def test(asking: Asking) -> None:
        asking.submit("first")
        await asking.until(lambda: len(asking.model.batches) == 1)
        asking.batcher.cancel(asking.submit("a"))
        other = asking.submit("b")
        assert asking.batcher.waiting == 1
        asking.model.go.release(2)
        assert await ended(other) == "b"
        assert asking.model.batches == [["first"], ["b"]]

    run(test)


def test_the_model_asks_whether_an_answer_is_still_wanted() -> None:
    async def test(asking: Asking) -> None:
        pending = asking.submit("a")
        await asking.until(lambda: asking.batcher.running == 1)
        asking.batcher.cancel(pending)
        asking.model.go.release()
        async with asyncio.timeout(10):
            assert isinstance(await pending.events.get(), Reply)  # without a piece before it

    run(test)


def test_all_requests_are_told_when_the_server_stops() -> None:
    async def test(asking: Asking) -> None:
        running = asking.submit("a")
        await asking.until(lambda: asking.batcher.running == 1)
        waiting = asking.submit("b")
        asking.batcher.cut()
        for pending in (running, waiting):
            status, message = await ended(pending)
            assert (status, message) == (503, "the server is being stopped; send the request to another one")
        asking.model.go.release(5)
        await asking.until(lambda: asking.batcher.running == 0)
        assert asking.model.batches == [["a"]]

    run(test)


def test_a_video_is_encoded_once() -> None:
    async def test(asking: Asking) -> None:
        asking.model.go.release(5)
        for text in "ab":
            assert await ended(asking.submit(text, seen=SeenVideo("key", FITTED))) == text
        known = EncodedVideo("other", SHAPE, 5)
        assert await ended(asking.submit("c", seen=SeenVideo("other", known))) == "c"
        assert asking.model.encoded == [FITTED]
        text = asking.metrics.text().decode()
        assert 'vlmkit_videos_total{state="encoded"} 1.0' in text
        assert 'vlmkit_videos_total{state="remembered"} 2.0' in text

    run(test)


@pytest.mark.parametrize(("words", "longest", "given"), [(10, 40, 40), (10, None, 40), (49, None, 1)])
def test_an_answer_is_as_long_as_the_model_has_room(words: int, longest: int | None, given: int) -> None:
    async def test(asking: Asking) -> None:
        asking.model.go.release(5)
        text = " ".join("a" * words)
        assert await ended(asking.submit(text, longest)) == text
        assert asking.model.limits == [given]

    run(test)


@pytest.mark.parametrize(("words", "longest"), [(10, 41), (50, None), (60, 1)])
def test_what_is_too_long_for_the_model_is_refused(words: int, longest: int | None) -> None:
    async def test(asking: Asking) -> None:
        pending = asking.submit(" ".join("a" * words), longest)
        async with asyncio.timeout(10):
            error = await pending.events.get()
        assert isinstance(error, ApiError)
        assert (error.status, error.param, error.code) == (400, "messages", "context_length_exceeded")
        assert f"has {words}" in str(error)

    run(test)
