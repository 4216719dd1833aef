"""Messages in OpenAI's and in transformers' form become texts with the place of a video."""

from __future__ import annotations

from typing import Any

import pytest

from vlmkit.serve.api_errors import ApiError
from vlmkit.serve.openai_messages import SourcePart, read_messages

URL = {"type": "video_url", "video_url": {"url": "data:x"}}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (URL, "video_url.url"),
        ({"type": "video_url", "video_url": "data:x"}, "video_url"),
        ({"type": "image_url", "image_url": {"url": "data:x", "detail": "auto"}}, "image_url.url"),
        ({"type": "video", "path": "data:x", "url": None}, "path"),
        ({"type": "image", "image": "data:x"}, "image"),
        ({"type": "image", "base64": "eA=="}, "base64"),
    ],
)
def test_every_form_of_a_video_or_picture(part: dict[str, Any], param: str) -> None:
    found = read_messages([{"role": "developer", "content": "be brief"}, user(part, text("what"), text("is it"))])
    assert found.messages == [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "<video>\nwhat\nis it"},
    ]
    source = "data:;base64,eA==" if param == "base64" else "data:x"
    assert found.videos == [SourcePart(source, f"messages.1.content.0.{param}")]


def test_several_videos_and_pictures() -> None:
    said = {"role": "assistant", "content": "ada"}
    found = read_messages([user(URL, text("who"), {"type": "image", "image": "b"}), said, user(URL, text("and"))])
    assert [message["content"] for message in found.messages] == ["<video>\nwho\n<video>", "ada", "<video>\nand"]
    params = ["0.content.0.video_url.url", "0.content.2.image", "2.content.0.video_url.url"]
    assert [part.param for part in found.videos] == [f"messages.{param}" for param in params]


def test_a_conversation_keeps_its_video_where_it_was_shown() -> None:
    said = {"role": "assistant", "content": "ada", "refusal": None, "tool_calls": []}
    found = read_messages([user(URL, text("who")), said, {"role": "user", "content": "sure"}])
    assert [message["content"] for message in found.messages] == ["<video>\nwho", "ada", "sure"]
    assert found.messages[1] == {"role": "assistant", "content": "ada"}


@pytest.mark.parametrize(
    ("messages", "param", "said"),
    [
        ([{"content": "how"}], "messages.0.role", "expected one of assistant, developer, system, user"),
        ([{"role": ["user"], "content": "how"}], "messages.0.role", "expected one of"),
        ([{"role": "user"}], "messages.0.content", "text or a list"),
        ([user()], "messages.0.content", "text or a list"),
        ([user("how")], "messages.0.content.0", "a part {type: …}"),
        ([user({"type": "input_audio"})], "messages.0.content.0.type", "text, video_url, image_url, video, image"),
        ([user({"type": "text"})], "messages.0.content.0.text", "expected text"),
        ([user(text("a <video> of"))], "messages.0.content.0.text", "cannot be part of a text"),
        ([user({**text("a"), "cache": 1})], "messages.0.content.0.cache", "expected only type, text"),
        ([user({"type": "video"})], "messages.0.content.0", "one of video, path, url, base64, found none"),
        ([user({"type": "video", "video": "a", "url": "b"})], "messages.0.content.0", "found video, url"),
        ([user({"type": "video", "video": [[0]]})], "messages.0.content.0.video", "a URL as text"),
        ([user({"type": "video", "video": "a", "fps": 2})], "messages.0.content.0.fps", "'fps'"),
        ([user({"type": "video_url", "video_url": {}})], "messages.0.content.0.video_url.url", "a URL as text"),
        ([user({"type": "image_url", "image_url": {"url": "a", "detail": "high"}})],
         "messages.0.content.0.image_url.detail", "'detail'"),
        ([user(*[URL] * 9), {"role": "assistant", "content": "a"}, user(*[URL] * 8)],
         "messages.2.content.7.video_url.url", "at most 16 videos and pictures in a conversation, found 17"),
        ([{"role": "system", "content": [URL]}, user(text("a"))], "messages.0.content.0", "not of system"),
        ([{"role": "user", "name": "ada", "content": "a"}], "messages.0.name", "only role and content"),
        ([user(text("a")), {"role": "assistant", "content": "a"}], "messages.1", "a last message by the user"),
    ],
)  # fmt: skip
def test_what_is_malformed_is_named(messages: list[dict[str, Any]], param: str, said: str) -> None:
    with pytest.raises(ApiError) as found:
        read_messages(messages)
    assert (found.value.status, found.value.param) == (400, param)
    assert said in str(found.value)
