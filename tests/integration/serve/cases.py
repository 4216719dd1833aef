"""Requests of many clients to one server: good ones with their answers, bad ones with the status that refuses them."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import cycle
from pathlib import Path
from typing import Any, Literal

from vlmkit.chat.chat_model import ChatModel, ChatRequest
from vlmkit.evaluation.answer_model import LoadedModel

__all__ = ["MAX_BYTES", "QUESTIONS", "ChatCase", "draw_cases"]

MAX_BYTES = 200_000
"""What the server allows a request."""
QUESTIONS = ("what is it", "how", "who is left of ada", "what color", "how is bob")
Body = dict[str, Any]
Way = Literal["plain", "chunked", "slow", "slow-head", "cut-body", "cut-wait", "cut-stream"]


@dataclass(frozen=True)
class ChatCase:
    """One request, how it is sent, and what has to come back."""

    name: str
    content: bytes
    status: int | None = 200
    """None: nobody waits for it."""
    text: str | None = None
    """The answer, of a good one."""
    param: str | None = None
    """The field that a refusal has to name."""
    way: Way = "plain"
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})

    @property
    def is_stream(self) -> bool:
        return b'"stream": true' in self.content


def draw_cases(model: ChatModel, clips: Sequence[Path], count: int, seed: int) -> list[ChatCase]:
    """Draw requests: of ten about six are good, three are bad, one is slow or cut off."""
    rng = random.Random(seed)
    good, bad, odd = _Good(model, clips, rng), cycle(_bad(clips)), cycle(_odd(clips))
    drawn = [good.draw() if number % 10 < 6 else next(bad if number % 10 < 9 else odd) for number in range(count)]
    rng.shuffle(drawn)
    return drawn


class _Good:
    """Good requests, whose answers are found offline, one by one."""

    def __init__(self, model: ChatModel, clips: Sequence[Path], rng: random.Random) -> None:
        self.model, self.clips, self.rng = model, clips, rng
        self.loaded = LoadedModel(lambda: (model.model, model.processor))
        self.video = cache(lambda clip: model.encode(model.look(clip)))
        self.answer = cache(self._answer)

    def draw(self) -> ChatCase:
        rng = self.rng
        clip = rng.choice([None, *self.clips, *self.clips])
        question, longest = rng.choice(QUESTIONS), rng.choice((3, 8, 20))
        seed = rng.choice((None, None, None, 1, 2))
        options: Body = {"max_tokens": longest}
        if seed is not None:
            options |= {"temperature": 2.0, "top_p": 0.9, "seed": seed}
        if rng.random() < 0.4:
            options |= {"stream": True, "stream_options": {"include_usage": True}}
        part = None if clip is None else _video(clip, rng.random() < 0.3)
        return ChatCase("good", _body(question, part, **options), text=self.answer(clip, question, longest, seed))

    def _answer(self, clip: Path | None, question: str, longest: int, seed: int | None) -> str:
        video = None if clip is None else self.video(clip)
        text = question if clip is None else f"<video>\n{question}"
        if seed is None:
            return self.loaded.answer([self.loaded.encode_prompt(text, video)], [video], [longest])[0]
        sampling: Any = {"temperature": 2.0, "top_p": 0.9, "seed": seed}
        request = ChatRequest([{"role": "user", "content": text}], video, longest, **sampling)
        return self.model.reply([request])[0].text


def _bad(clips: Sequence[Path]) -> Iterator[ChatCase]:
    """What has to be refused."""
    video, far = _video(clips[0], False), {"type": "video_url", "video_url": {"url": "http://127.0.0.1:9/a.mp4"}}
    message = "messages.0.content"
    url = f"{message}.0.video_url.url"
    yield ChatCase("no json", b'{"messages": [', 400)
    yield ChatCase("no object", b"[]", 400)
    yield ChatCase("too deep", b'{"messages": ' + b"[" * 50_000, 400)
    yield ChatCase("half a character", _body("\ud800"), 400)
    yield ChatCase("no messages", b"{}", 400, param="messages")
    yield ChatCase("unknown parameter", _body("how", top_k=5), 400, param="top_k")
    yield ChatCase("other frames", _body("how", video, num_frames=32), 400, param="num_frames")
    yield ChatCase("two answers", _body("how", n=2), 400, param="n")
    yield ChatCase("too hot", _body("how", temperature=3), 400, param="temperature")
    yield ChatCase("a tool", _body("how", tools=[{"type": "function"}]), 400, param="tools")
    yield ChatCase("too long an answer", _body("how", max_tokens=10**6), 400, param="max_tokens")
    yield ChatCase("too long a question", _body("how " * 3000, max_tokens=5), 400, param="messages")
    yield ChatCase("another model", _body("how", model="gpt-4o"), 404, param="model")
    yield ChatCase("another role", json.dumps({"messages": [{"role": "tool", "content": ""}]}).encode(), 400,
                   param="messages.0.role")  # fmt: skip
    yield ChatCase("the place of a video", _body("<video> how"), 400, param=message)
    yield ChatCase("no base64", _body("how", _part("data:video/mp4;base64,?")), 400, param=url)
    yield ChatCase("no video", _body("how", _part("data:video/mp4;base64,aGVsbG8gd29ybGQ=")), 400, param=url)
    yield ChatCase("half a video", _body("how", _encoded(clips[1].read_bytes()[:2000])), 400, param=url)
    yield ChatCase("a playlist", _body("how", _encoded(_PLAYLIST.encode())), 400, param=url)
    yield ChatCase("a URL", _body("how", far), 400, param=url)
    yield ChatCase("a file elsewhere", _body("how", _part("file:///etc/passwd")), 400, param=url)
    yield ChatCase("a file above", _body("how", _part(f"file://{clips[0].parent}/../../x.mp4")), 400, param=url)
    yield ChatCase("a device", _body("how", _part("file:///dev/zero")), 400, param=url)
    yield ChatCase("no type", _body("how"), 415, headers={"Content-Type": "text/plain"})
    large = _body("how " * (MAX_BYTES // 4))
    yield ChatCase("too large", large, 413)
    yield ChatCase("too large, in chunks", large, 413, way="chunked")


def _odd(clips: Sequence[Path]) -> Iterator[ChatCase]:
    """Clients that are slow or go away."""
    video = _video(clips[0], False)
    yield ChatCase("slow", _body("how", video), 408, way="slow")
    yield ChatCase("slow from the start", _body("how"), 408, way="slow-head")
    yield ChatCase("cut off", _body("how", video), None, way="cut-body")
    yield ChatCase("gone before the answer", _body("how", video, max_tokens=200), None, way="cut-wait")
    yield ChatCase("gone within the answer", _body("how", video, max_tokens=200, stream=True), None, way="cut-stream")


_PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"


def _body(question: str, part: Body | None = None, **more: Any) -> bytes:
    text = {"type": "text", "text": question}
    content = question if part is None else [part, text]
    return json.dumps({"messages": [{"role": "user", "content": content}], **more}).encode()


def _video(clip: Path, by_path: bool) -> Body:
    return _part(clip.as_uri()) if by_path else _encoded(clip.read_bytes())


def _encoded(content: bytes) -> Body:
    return _part(f"data:video/mp4;base64,{base64.b64encode(content).decode()}")


def _part(url: str) -> Body:
    return {"type": "video_url", "video_url": {"url": url}}
