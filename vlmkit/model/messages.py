"""Conversations as users of transformers and of OpenAI's API write them, as texts with `<video>` and their videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

from vlmkit.data import VideoSource
from vlmkit.errors import UserError, shown
from vlmkit.model.tokens import VIDEO

__all__ = ["ParsedConversation", "gather_videos", "read_conversations"]

_VIDEO = ("video", "path", "url", "base64", "video_url")
_IMAGE = ("image", "path", "url", "base64", "image_url")
_SOURCES = {"video": _VIDEO, "video_url": _VIDEO, "image": _IMAGE, "image_url": _IMAGE}
"""Kinds of parts that show something, and the keys under which they may have it."""


class ParsedConversation(NamedTuple):
    """One conversation."""

    messages: list[dict[str, Any]]
    """Their `content` is a text, with `<video>` where something is shown and each part on a line of its own."""
    videos: list[VideoSource]
    """Those that its parts show, in their order; a picture is a video of one frame."""

    def placeholders(self) -> int:
        """Return how often `<video>` stands in its texts."""
        return sum(message.get("content", "").count(VIDEO) for message in self.messages)


def read_conversations(conversations: Any) -> tuple[list[ParsedConversation], bool]:
    """Return the conversations of a list of messages, or of a list of such lists; and whether it was the latter.

    A message is `{role: …, content: …}`. Its content is a text or a list of parts: `{type: text, text: …}`,
    `{type: video, …}` with the video under `video`, `path`, `url` or `base64`, `{type: image, …}` with the picture
    under `image`, `path`, `url` or `base64`, and OpenAI's `{type: video_url, video_url: {url: …}}` and `image_url`.

    Raises:
        UserError: where a message or a part is none.
    """
    if not isinstance(conversations, Sequence) or isinstance(conversations, str) or not conversations:
        raise UserError(f"expected messages like {{role: user, content: …}}, found {shown(conversations)}")
    many = isinstance(conversations[0], list | tuple)
    return [_read(messages) for messages in (conversations if many else [conversations])], many


def gather_videos(conversations: Sequence[ParsedConversation], given: Sequence[VideoSource]) -> list[VideoSource]:
    """Return what conversations show, in their order: what the parts of one name, or where `<video>` stands in its
    texts instead, the next of those that are `given`; of these what is left over stands last.
    """
    rest = iter(given)
    videos: list[VideoSource] = []
    for conversation in conversations:
        videos += conversation.videos or islice(rest, conversation.placeholders())
    return [*videos, *rest]


def _read(messages: Sequence[Any]) -> ParsedConversation:
    texts: list[dict[str, Any]] = []
    videos: list[VideoSource] = []
    for message in messages:
        if not isinstance(message, Mapping) or "role" not in message:
            raise UserError(f"expected messages like {{role: user, content: …}}, found {shown(message)}")
        known = {key: value for key, value in message.items() if value is not None}  # as OpenAI's clients leave it out
        content = known.get("content", "")
        if isinstance(content, list | tuple):
            known["content"] = "\n".join(_part_text(part, videos) for part in content)
        elif not isinstance(content, str):
            raise UserError(f"expected a text or a list of parts as `content` of a message, found {shown(content)}")
        texts.append(known)
    return ParsedConversation(texts, videos)


def _part_text(part: Any, videos: list[VideoSource]) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if isinstance(kind, str) and kind in _SOURCES:
        videos += [_source(key, part[key]) for key in _SOURCES[kind] if part.get(key) is not None][:1]
        return VIDEO
    raise UserError(
        "expected the parts of a message to be {type: text, text: …}, {type: video, path: …} or "
        f"{{type: image, path: …}}, found {shown(part)}"
    )


def _source(key: str, value: Any) -> VideoSource:
    """Return what a part shows: OpenAI's parts have an object around the URL."""
    if isinstance(value, Mapping) and "url" in value:
        value = value["url"]
    return f"data:;base64,{value}" if key == "base64" else value
