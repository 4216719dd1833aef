"""Requests that wait are answered in batches, in one thread that has the model to itself."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from vlmkit.chat.chat_model import ChatModel, ChatRequest, Reply
from vlmkit.errors import UserError
from vlmkit.evaluation.answer_model import EncodedVideo
from vlmkit.guard import error_text, is_out_of_memory
from vlmkit.serve.api_errors import ApiError, bad_request, busy

if TYPE_CHECKING:
    from vlmkit.serve.limits import Admission
    from vlmkit.serve.serve_metrics import ServerMetrics
    from vlmkit.serve.video_sources import SeenVideo, VideoMemory

__all__ = ["Batcher", "Pending"]

_DEFAULT_TOKENS = 256
_LOG = logging.getLogger(__name__)


@dataclass(eq=False)
class Pending:
    """A request that waits for its answer, or is being answered."""

    request: ChatRequest
    """Without its videos."""
    seen: Sequence[SeenVideo]
    longest: int | None
    """The most tokens of the answer, None where the client does not say."""
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    events: asyncio.Queue[str | Reply | ApiError] = field(default_factory=asyncio.Queue)
    """Pieces of the answer, and then the whole of it, or why there is none."""
    running: bool = False
    cancelled: bool = False
    started: bool = False
    """True: a piece, or all there is, was handed out."""
    done: bool = False
    """True: the last event was handed out."""

    def tell(self, event: str | Reply | ApiError) -> None:
        """Hand on what happened, from the model's thread."""
        if self.done:
            return
        self.started, self.done = True, not isinstance(event, str)
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.events.put_nowait, event)


class Batcher:
    """Takes up to `batch_size` of the requests that wait, encodes their videos, answers them, and takes the next.

    A batch that fails is asked again one by one, so that a request fails for itself alone.
    """

    def __init__(
        self, model: ChatModel, memory: VideoMemory, batch_size: int, admission: Admission, metrics: ServerMetrics
    ) -> None:
        self._model, self._memory, self._batch_size = model, memory, batch_size
        self._admission, self._metrics = admission, metrics
        self._waiting: deque[Pending] = deque()
        self._running: Sequence[Pending] = ()
        self._changed = threading.Condition()
        self._closed = False
        self._positions = model.spec.backbone.positions
        self._thread = threading.Thread(target=self._work, name="model", daemon=True)
        self._thread.start()

    @property
    def alive(self) -> bool:
        """True while the model's thread runs."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """How many requests are being answered."""
        return len(self._running)

    def submit(self, pending: Pending) -> None:
        """Have a request answered."""
        with self._changed:
            self._waiting.append(pending)
            self._changed.notify()

    def cancel(self, pending: Pending) -> None:
        """Have a request dropped, whether it waits or runs."""
        pending.cancelled = True
        with self._changed:
            if pending in self._waiting:
                self._waiting.remove(pending)

    def cut(self) -> None:
        """Drop all requests, and tell their clients that the server stops."""
        with self._changed:
            dropped = [*self._waiting, *self._running]
            self._waiting.clear()
        for pending in dropped:
            if not pending.cancelled:
                pending.cancelled = True
                pending.tell(busy("the server is being stopped; send the request to another one", 1, status=503))

    def close(self) -> None:
        """End the thread after the batch that it works on."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _work(self) -> None:
        while batch := self._take():
            begin = time.monotonic()
            try:
                self._answer(batch)
            except Exception as error:  # the thread has to go on
                _LOG.exception("a batch of %d requests failed", len(batch))
                self._fail(batch, error)
            self._running = ()
            self._admission.batch_seconds = time.monotonic() - begin
            self._metrics.batch_seconds.observe(self._admission.batch_seconds)

    def _take(self) -> list[Pending]:
        """Return the next batch; nothing once this is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            if self._closed:
                return []
            batch = [self._waiting.popleft() for _ in range(min(self._batch_size, len(self._waiting)))]
            self._running = batch
        for pending in batch:
            pending.running = True
        return batch

    def _answer(self, batch: Sequence[Pending]) -> None:
        ready: list[tuple[Pending, ChatRequest]] = []
        for pending in batch:
            try:
                ready.append((pending, self._prepared(pending)))
            except ApiError as error:
                pending.tell(error)
            except Exception as error:
                self._fail([pending], error)
        if ready:
            self._metrics.batch_size.observe(len(ready))
            self._reply(ready)

    def _prepared(self, pending: Pending) -> ChatRequest:
        """Return a request with its videos encoded. An ApiError where the model cannot take it."""
        request = replace(pending.request, video=[self._encoded(seen) for seen in pending.seen])
        length = len(self._model.tokens(request).ids)
        room = None if self._positions is None else self._positions - length
        if room is not None and room < (pending.longest or 1):
            asked = "" if pending.longest is None else f" and {pending.longest} were asked for as the answer"
            raise bad_request(
                f"the model takes {self._positions} tokens in all; this conversation has {length}{asked}; shorten it",
                "messages", "context_length_exceeded",
            )  # fmt: skip
        longest = pending.longest if pending.longest is not None else min(_DEFAULT_TOKENS, room or _DEFAULT_TOKENS)
        return replace(request, max_new_tokens=longest)

    def _encoded(self, seen: SeenVideo) -> EncodedVideo:
        known = seen.video if isinstance(seen.video, EncodedVideo) else self._memory.find(seen.key)
        self._metrics.videos.labels("encoded" if known is None else "remembered").inc()
        if known is None:
            assert not isinstance(seen.video, EncodedVideo)
            known = self._model.encode(seen.video)
            self._memory.put(seen.key, known)
        return known

    def _reply(self, ready: Sequence[tuple[Pending, ChatRequest]]) -> None:
        rows = [pending for pending, _ in ready]
        try:
            self._model.reply(
                [request for _, request in ready],
                on_text=lambda row, piece: rows[row].tell(piece),
                cancelled=lambda row: rows[row].cancelled,
                on_reply=lambda row, reply: self._finish(rows[row], reply),
            )
        except Exception as error:
            if len(ready) == 1:
                self._fail(rows, error)
                return
            self._fail([row for row in rows if row.started], error)
            for pending, request in ready:
                if not pending.started and not pending.cancelled:
                    self._reply([(pending, request)])

    def _finish(self, pending: Pending, reply: Reply) -> None:
        self._metrics.tokens.labels("prompt").inc(reply.prompt_tokens)
        self._metrics.tokens.labels("completion").inc(reply.completion_tokens)
        pending.tell(reply)

    def _fail(self, rows: Sequence[Pending], error: Exception) -> None:
        """Tell clients why there is no answer."""
        if isinstance(error, UserError):
            said = bad_request(error, "messages")
        elif is_out_of_memory(error):
            said = ApiError(503, "this machine's memory does not suffice for the request; make it smaller")
        else:
            _LOG.error("a request failed: %s", error_text(error), exc_info=error)
            said = ApiError(500, "the model failed on this request; the server's log says why")
        for row in rows:
            row.tell(said)
