"""Many clients at once: each takes the next request, sends it in its way and keeps what came back."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple

import httpx

from .cases import ChatCase

__all__ = ["Answered", "ask_all"]

CHAT = "/v1/chat/completions"
_PATIENCE = 60


class Answered(NamedTuple):
    """What came back for a request."""

    case: ChatCase
    status: int | None
    text: str | None
    error: dict[str, Any]
    seconds: float


async def ask_all(url: str, cases: Sequence[ChatCase], at_once: int) -> list[Answered]:
    """Send all requests, so many at once."""
    waiting, found = iter(enumerate(cases)), dict[int, Answered]()

    async def work() -> None:
        async with httpx.AsyncClient(base_url=url, timeout=_PATIENCE, trust_env=False) as client:
            for number, case in waiting:
                begin = time.monotonic()
                status, text, error = await asyncio.wait_for(_ask(client, case), _PATIENCE)
                found[number] = Answered(case, status, text, error, time.monotonic() - begin)

    await asyncio.gather(*(work() for _ in range(at_once)))
    return [found[number] for number in range(len(cases))]


async def _ask(client: httpx.AsyncClient, case: ChatCase) -> tuple[int | None, str | None, dict[str, Any]]:
    if case.way in ("plain", "chunked"):
        content: Any = case.content if case.way == "plain" else _chunks(case.content)
        response = await client.post(CHAT, content=content, headers=case.headers)
        said = response.text if case.is_stream and response.status_code == 200 else response.json()
        return _read(response.status_code, said)
    return await _ask_by_hand(client.base_url, case)


def _read(status: int, said: Any) -> tuple[int, str | None, dict[str, Any]]:
    if status != 200:
        return status, None, said["error"]
    if isinstance(said, dict):
        return status, said["choices"][0]["message"]["content"], {}
    events = [event.removeprefix("data: ") for event in said.split("\n\n") if event]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert chunks[-1]["usage"]["completion_tokens"] > 0
    return status, "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]), {}


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 10_000):
        yield content[start : start + 10_000]


async def _response(reader: asyncio.StreamReader) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a response."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    length = next(int(line.split(": ")[1]) for line in lines if line.startswith("content-length"))
    return int(first.split()[1]), json.loads(await reader.readexactly(length))


async def _ask_by_hand(url: httpx.URL, case: ChatCase) -> tuple[int | None, str | None, dict[str, Any]]:
    """Send what no client library does: slowly, or not to the end."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST {CHAT} HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: application/json\r\n"
    whole = f"{head}Content-Length: {len(case.content)}\r\n\r\n".encode() + case.content
    try:
        if case.way in ("slow", "slow-head"):
            answer = asyncio.ensure_future(_response(reader))
            start = 0 if case.way == "slow-head" else len(head) + 40
            writer.write(whole[:start])
            for place in range(start, len(whole)):
                writer.write(whole[place : place + 1])
                await asyncio.wait([answer], timeout=0.1)
                if answer.done():
                    break
            status, said = await answer
            return status, None, said["error"]
        writer.write(whole[: len(whole) // 2] if case.way == "cut-body" else whole)
        await writer.drain()
        if case.way == "cut-stream":
            await reader.readuntil(b"data: ")
        elif case.way == "cut-wait":
            await asyncio.sleep(0.05)
        return None, None, {}
    finally:
        writer.close()
