"""Conversations as users write them: texts, and what their parts show."""

from __future__ import annotations

from typing import Any

import pytest

from vlmkit.errors import UserError
from vlmkit.model.messages import gather_videos, read_conversations


def turn(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(content)}


TEXT = {"type": "text", "text": "Which?"}


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        ({"type": "video", "video": "a.mp4"}, "a.mp4"),
        ({"type": "video", "path": "a.mp4"}, "a.mp4"),
        ({"type": "video", "url": "https://x/a.mp4"}, "https://x/a.mp4"),
        ({"type": "video", "video": ["1.png", "2.png"]}, ["1.png", "2.png"]),
        ({"type": "video", "base64": "AAAA"}, "data:;base64,AAAA"),
        ({"type": "video", "video": None, "path": "a.mp4"}, "a.mp4"),
        ({"type": "video_url", "video_url": {"url": "https://x/a.mp4"}}, "https://x/a.mp4"),
        ({"type": "video_url", "video_url": "https://x/a.mp4"}, "https://x/a.mp4"),
        ({"type": "image", "image": "a.png"}, "a.png"),
        ({"type": "image", "path": "a.png"}, "a.png"),
        ({"type": "image", "url": "file:///a.png"}, "file:///a.png"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, "data:image/png;base64,AAAA"),
    ],
)
def test_what_a_part_shows(part: dict[str, Any], shown: Any) -> None:
    [conversation], many = read_conversations([turn(part, TEXT)])
    assert conversation.messages == [{"role": "user", "content": "<video>\nWhich?"}]
    assert conversation.videos == [shown]
    assert not many


def test_messages_are_left_as_they_were() -> None:
    said = {"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}
    given = [turn({"type": "video"}, TEXT), said]
    [conversation], _ = read_conversations(given)
    assert conversation.messages[1] == {"role": "assistant", "tool_calls": [{"name": "f"}]}
    assert given == [turn({"type": "video"}, TEXT), said]
    assert conversation.placeholders() == 1
    assert conversation.videos == []


def test_who_shows_what() -> None:
    conversations, many = read_conversations(
        [
            [turn({"type": "video"})],
            [turn(TEXT)],
            [turn({"type": "image", "url": "b"})],
            [{"role": "user", "content": "<video>"}],
        ]
    )
    assert many
    assert gather_videos(conversations, ["a", "c"]) == ["a", "b", "c"]
    assert gather_videos(conversations, ["a", "c", "d"]) == ["a", "b", "c", "d"]
    assert gather_videos(conversations, ["a"]) == ["a", "b"]


def test_several_videos_in_a_conversation() -> None:
    conversations, _ = read_conversations(
        [turn(TEXT), turn({"type": "image", "url": "a"}, {"type": "video", "url": "b"})]
    )
    assert conversations[0].placeholders() == 2
    assert gather_videos(conversations, ["c"]) == ["a", "b", "c"]
    texts, _ = read_conversations([turn(TEXT), turn({"type": "text", "text": "<video> or <video>"})])
    assert gather_videos([*texts, *conversations], ["c", "d"]) == ["c", "d", "a", "b"]


@pytest.mark.parametrize("given", [[], "Which?", None, {"role": "user", "content": "Which?"}])
def test_what_is_no_conversation(given: Any) -> None:
    with pytest.raises(UserError, match=r"expected messages like \{role: user, content: …\}, found "):
        read_conversations(given)


def test_a_content_that_is_none() -> None:
    with pytest.raises(UserError, match="expected a text or a list of parts as `content` of a message, found 5"):
        read_conversations([{"role": "user", "content": 5}])
