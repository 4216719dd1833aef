"""Answers in the shape of OpenAI's chat completions: whole, or as a stream of server-sent events."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from openai.types import CompletionUsage, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionMessage
from openai.types.chat.chat_completion import Choice
from openai.types.chat.chat_completion_chunk import Choice as ChunkChoice
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from vlmkit.serve.api_errors import ApiError

if TYPE_CHECKING:
    from vlmkit.chat.chat_model import Reply

__all__ = ["DONE", "Completion", "error_event", "model_entry"]

DONE = b"data: [DONE]\n\n"
"""The event that ends a stream."""


@dataclass(frozen=True)
class Completion:
    """One answer that is on its way: what all its chunks share."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, reply: Reply) -> dict[str, Any]:
        """Return the JSON of a complete answer."""
        message = ChatCompletionMessage(role="assistant", content=reply.text, refusal=None)
        choice = Choice(index=0, message=message, finish_reason=_finish(reply), logprobs=None)
        return ChatCompletion(
            id=self.id, created=self.created, model=self.model, object="chat.completion", choices=[choice],
            usage=_usage(reply),
        ).model_dump(mode="json", exclude_unset=True)  # fmt: skip

    def begin(self) -> bytes:
        """Return the first event of a stream, which says whose turn it is."""
        return self._chunk([ChunkChoice(index=0, delta=ChoiceDelta(role="assistant", content=""), finish_reason=None)])

    def piece(self, text: str) -> bytes:
        """Return the event with the next piece of the answer."""
        return self._chunk([ChunkChoice(index=0, delta=ChoiceDelta(content=text), finish_reason=None)])

    def end(self, reply: Reply) -> bytes:
        """Return the event that says why the answer ends."""
        return self._chunk([ChunkChoice(index=0, delta=ChoiceDelta(), finish_reason=_finish(reply))])

    def usage(self, reply: Reply) -> bytes:
        """Return the event with the numbers of tokens."""
        return self._chunk([], _usage(reply))

    def _chunk(self, choices: list[ChunkChoice], usage: CompletionUsage | None = None) -> bytes:
        chunk = ChatCompletionChunk(
            id=self.id, created=self.created, model=self.model, object="chat.completion.chunk", choices=choices
        )
        if usage is not None:
            chunk.usage = usage
        return _event(chunk.model_dump(mode="json", exclude_unset=True))


def error_event(error: ApiError) -> bytes:
    """Return the event of a stream that ends before its answer is complete."""
    return _event(error.body())


def model_entry(name: str, created: int) -> dict[str, Any]:
    """Return the JSON of a model in the list of models."""
    return Model(id=name, created=created, object="model", owned_by="vlmkit").model_dump(
        mode="json", exclude_unset=True
    )


def _event(data: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def _finish(reply: Reply) -> Literal["stop", "length"]:
    return "length" if reply.finish_reason == "length" else "stop"


def _usage(reply: Reply) -> CompletionUsage:
    total = reply.prompt_tokens + reply.completion_tokens
    return CompletionUsage(
        prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens, total_tokens=total
    )
