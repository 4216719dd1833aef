"""One chat request from its body to its answer, whole or as a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi.responses import JSONResponse, StreamingResponse

from vlmkit.chat.chat_model import ChatRequest, Reply
from vlmkit.errors import UserError, shown
from vlmkit.model.video_inputs import sampled_input
from vlmkit.serve.api_errors import ApiError, ClientGone, bad_request, out_of_time
from vlmkit.serve.batcher import Pending
from vlmkit.serve.limits import HeldBytes, read_body
from vlmkit.serve.openai_api import ChatBody, parse_chat
from vlmkit.serve.openai_messages import read_messages
from vlmkit.serve.openai_replies import DONE, Completion, error_event

if TYPE_CHECKING:
    from fastapi import Request, Response
    from starlette.types import Receive, Scope, Send

    from vlmkit.chat.chat_model import ChatModel
    from vlmkit.serve.batcher import Batcher
    from vlmkit.serve.limits import Admission
    from vlmkit.serve.video_sources import VideoSources

__all__ = ["ChatEndpoint"]

T = TypeVar("T")
Events = AsyncGenerator[str | Reply]


class ChatEndpoint:
    """Answers `POST /v1/chat/completions`."""

    def __init__(self, model: ChatModel, batcher: Batcher, sources: VideoSources, admission: Admission) -> None:
        self._model, self._batcher, self._sources = model, batcher, sources
        self._admission, self._limits = admission, admission.limits

    async def __call__(self, request: Request) -> Response:
        """Return the response. An ApiError where there is no answer, ClientGone where nobody waits for it."""
        sent_as = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if sent_as != "application/json":
            message = f"expected Content-Type: application/json, found {shown(sent_as)}"
            raise ApiError(415, message, code="unsupported_media_type")
        with self._admission.holding() as held:
            content = await read_body(request, self._limits, held)
            deadline = asyncio.get_running_loop().time() + self._limits.request_seconds
            chat = await asyncio.to_thread(parse_chat, content)
            del content
            pending = await _while_connected(request, self._pending(chat, held, deadline))
        events, completion = self._events(pending, deadline), Completion(self._model.name)
        if not chat.stream:
            return JSONResponse(completion.whole(await _while_connected(request, _last(events))))
        first = await _while_connected(request, anext(events))
        return _EventStream(_stream(first, events, completion, chat, request), events)

    async def _pending(self, chat: ChatBody, held: HeldBytes, deadline: float) -> Pending:
        """Return the request with its video decoded, ready to wait for the model."""
        if chat.model not in (None, self._model.name):
            message = f"there is no model {shown(chat.model)} here; this server has {self._model.name}"
            raise ApiError(404, message, param="model", code="model_not_found")
        if (chat.longest or 0) > self._limits.max_tokens:
            message = f"max_tokens: expected at most {self._limits.max_tokens}; found {chat.longest}"
            raise bad_request(message, "max_tokens")
        conversation = read_messages(chat.messages)
        self._check_sampling(chat, bool(conversation.videos))
        try:
            async with asyncio.timeout_at(deadline):
                seen = [await self._sources.see(part, chat.sampling, held) for part in conversation.videos]
        except TimeoutError:
            raise out_of_time(self._limits.request_seconds, running=False) from None
        options = {"temperature": chat.temperature, "top_p": chat.top_p, "seed": chat.seed}
        given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
        return Pending(ChatRequest(conversation.messages, stop=chat.stops, **given), seen, chat.longest)

    def _check_sampling(self, chat: ChatBody, has_video: bool) -> None:
        if chat.sampling is None:
            return
        if not has_video:
            raise bad_request("sampling chooses frames of a video, and there is none in the messages", "sampling")
        try:
            frames = sampled_input(self._model.processor.aligner.input, chat.sampling).frames
        except UserError as error:
            raise bad_request(error, "sampling") from None
        if frames > self._limits.max_frames:
            raise bad_request(f"expected at most {self._limits.max_frames} frames, found {frames}", "sampling.frames")

    async def _events(self, pending: Pending, deadline: float) -> Events:
        """Yield the pieces of an answer as they come, and then the whole of it."""
        self._batcher.submit(pending)
        try:
            while True:
                async with asyncio.timeout_at(deadline):
                    event = await pending.events.get()
                if isinstance(event, ApiError):
                    raise event
                yield event
                if isinstance(event, Reply):
                    return
        except TimeoutError:
            raise out_of_time(self._limits.request_seconds, running=pending.running) from None
        finally:
            self._batcher.cancel(pending)


class _EventStream(StreamingResponse):
    """Server-sent events. What is behind them ends with the response, however that ends."""

    def __init__(self, content: AsyncIterator[bytes], events: Events) -> None:
        super().__init__(content, headers={"Cache-Control": "no-cache"}, media_type="text/event-stream")
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


async def _stream(
    first: str | Reply, events: Events, completion: Completion, chat: ChatBody, request: Request
) -> AsyncIterator[bytes]:
    request.state.outcome = 499  # until it is complete
    yield completion.begin()
    event: str | Reply = first
    try:
        while isinstance(event, str):
            yield completion.piece(event)
            event = await anext(events)
    except ApiError as error:
        request.state.outcome = error.status
        yield error_event(error)
        return
    yield completion.end(event)
    if chat.tells_usage:
        yield completion.usage(event)
    yield DONE
    request.state.outcome = 200


async def _last(events: Events) -> Reply:
    """Return the whole answer."""
    async for event in events:
        if isinstance(event, Reply):
            return event
    raise AssertionError("an answer ends with the whole of it")


async def _while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what `work` gives. ClientGone, and it is cancelled, where the client hangs up before."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGone
        return task.result()
    finally:
        task.cancel()
        gone.cancel()
        await asyncio.wait((task, gone))


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
