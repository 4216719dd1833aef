"""The judge `openai`: a language model behind an OpenAI-compatible endpoint, asked in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from queue import SimpleQueue
from time import perf_counter
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from vlmkit.api import Judge, JudgeEstimate, JudgeRequest, Unscored, Verdict, first_line, shown
from vlmkit_judges._judge_requests import prompt_of, verdict_of

if TYPE_CHECKING:
    from openai import AsyncOpenAI

    from vlmkit_judges.spec import OpenAISpec

__all__ = ["EndpointJudge"]

_CHARACTERS = 4
"""Of English text per token, by OpenAI's own rule of thumb."""
_HOPELESS = (401, 403, 404)
"""Statuses of a wrong key, of a model that may not be used, and of one that is not there: repeating does not help."""
_EXTRACTED: dict[str, Any] = {
    "type": "object",
    "properties": {"extracted_answer": {"type": "string"}, "correct": {"type": "boolean"}},
    "required": ["extracted_answer", "correct"],
    "additionalProperties": False,
}
"""Schema of a reply of the form `extracted-answer`, which the server keeps to."""


class EndpointJudge(Judge):
    """Sends each request as a chat and reads the reply.

    Retries with growing pauses, and the pauses that a server demands, are those of the official client. An answer whose
    request fails for good is unscored; where the key or the model is refused, or the server is not there, so are all
    that are still waiting.
    """

    prompted = True

    def __init__(self, options: OpenAISpec, key: str) -> None:
        self._options, self._key = options, key
        asked: dict[str, Any] = {
            "temperature": options.temperature,
            "seed": options.seed,
            "max_tokens": options.max_tokens,
        }
        told = [f"{name} {value}" for name, value in asked.items() if value is not None]
        self.version = ", ".join([f"1: {options.model} at {_address(options.base_url)}", *told])
        self._asked = {name: value for name, value in asked.items() if value is not None}
        self._refused, self._heard = "", False

    def estimate(self, requests: Sequence[JudgeRequest]) -> JudgeEstimate:
        """Return the tokens and the cost of these requests."""
        texts = [message["content"] for request in requests for message in prompt_of(request).messages(request)]
        entering = sum(map(len, texts)) // _CHARACTERS
        leaving = sum(self._options.max_tokens or prompt_of(request).max_tokens for request in requests)
        counted = f"characters / {_CHARACTERS}"
        return JudgeEstimate(len(requests), entering, leaving, self._cost(entering, leaving), counted)

    def judge(self, requests: Sequence[JudgeRequest]) -> Iterator[tuple[int, Verdict | Unscored]]:
        """Yield each verdict as its reply comes in, with at most `concurrency` requests on their way."""
        from anyio.from_thread import start_blocking_portal

        self._refused, self._heard = "", False
        replies: SimpleQueue[tuple[int, Verdict | Unscored] | None] = SimpleQueue()
        with start_blocking_portal() as portal:  # an event loop in a thread: a notebook has one of its own in this one
            work = portal.start_task_soon(self._ask_all, requests, replies.put)
            work.add_done_callback(lambda _: replies.put(None))
            try:
                while (given := replies.get()) is not None:
                    yield given
                work.result()
            finally:
                work.cancel()

    async def _ask_all(
        self, requests: Sequence[JudgeRequest], put: Callable[[tuple[int, Verdict | Unscored]], None]
    ) -> None:
        from anyio import create_task_group
        from openai import AsyncOpenAI

        options, waiting = self._options, iter(enumerate(requests))
        client = AsyncOpenAI(
            api_key=self._key or "none",
            base_url=options.base_url,
            timeout=options.timeout,
            max_retries=options.max_retries,
        )

        async def ask() -> None:
            for index, request in waiting:
                put((index, await self._ask(client, request)))

        async with client, create_task_group() as group:
            for _ in range(min(options.concurrency, len(requests))):
                group.start_soon(ask)

    async def _ask(self, client: AsyncOpenAI, request: JudgeRequest) -> Verdict | Unscored:
        from anyio import fail_after
        from openai import APIConnectionError, APIStatusError

        if self._refused:
            return Unscored(self._refused)
        started, deadline = perf_counter(), self._options.deadline
        try:
            with fail_after(deadline):
                reply = await client.chat.completions.create(**self._arguments(request))
            self._heard = True
            verdict = self._read(reply, request)
        except TimeoutError:
            return Unscored(f"no whole reply within {deadline:g} s")
        except (
            Exception
        ) as error:  # a server can send anything, and the client's libraries raise what they like over it
            reason = self._hidden(f"{type(error).__name__}: {first_line(error)}")
            self._heard = self._heard or isinstance(error, APIStatusError)
            lost = isinstance(error, APIConnectionError) and not self._heard
            if lost or (isinstance(error, APIStatusError) and error.status_code in _HOPELESS):
                self._refused = self._refused or f"not asked, because another request failed: {reason}"
            return Unscored(reason)
        return replace(verdict, seconds=perf_counter() - started) if isinstance(verdict, Verdict) else verdict

    def _arguments(self, request: JudgeRequest) -> dict[str, Any]:
        prompt = prompt_of(request)
        asked: dict[str, Any] = {"temperature": prompt.temperature, "max_tokens": prompt.max_tokens, **self._asked}
        if prompt.presence_penalty:
            asked["presence_penalty"] = prompt.presence_penalty
        if prompt.reply == "extracted-answer":
            schema = {"name": "EvaluationOutput", "schema": _EXTRACTED, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        if self._options.max_completion_tokens:
            asked["max_completion_tokens"] = asked.pop("max_tokens")
        return {"model": self._options.model, "messages": prompt.messages(request), **asked}

    def _read(self, reply: Any, request: JudgeRequest) -> Verdict | Unscored:
        """Read a reply of the server, which can be anything."""
        choices, usage = getattr(reply, "choices", None), getattr(reply, "usage", None)
        first = choices[0] if isinstance(choices, list) and choices else None
        message = getattr(first, "message", None)
        if message is None:
            return Unscored(self._hidden(f"the server's reply is no chat completion: {shown(reply, 200)}"))
        text = message.content
        if not isinstance(text, str) or not text.strip():
            return Unscored(
                f"the judge's reply is empty (finish_reason {shown(getattr(first, 'finish_reason', None))})"
            )
        found = verdict_of(request, self._hidden(text))
        if isinstance(found, Unscored):
            return found
        tokens = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
        entering, leaving = (count if isinstance(count, int) else None for count in tokens)
        cost = None if entering is None or leaving is None else self._cost(entering, leaving)
        return replace(found, model=str(reply.model or ""), input_tokens=entering, output_tokens=leaving, cost=cost)

    def _cost(self, entering: int, leaving: int) -> float | None:
        prices = self._options.input_price, self._options.output_price
        if prices[0] is None or prices[1] is None:
            return None
        return (entering * prices[0] + leaving * prices[1]) / 1e6

    def _hidden(self, text: str) -> str:
        """Return a text of the server without the key: some repeat it in their errors."""
        return text.replace(self._key, "[key]") if self._key else text


def _address(url: str) -> str:
    """Return host and path, without a name, a password or a query that may be secret."""
    parts = urlsplit(url)
    return f"{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"
