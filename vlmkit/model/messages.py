"""Conversations as users of transformers write them: contents are texts, or lists of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlmkit.errors import UserError, shown

__all__ = ["Messages", "plain"]

_SOURCES = ("video", "path", "url")
"""Under one of these a part of type `video` has its file or frames."""


class Messages(NamedTuple):
    """One conversation in which every content is a text."""

    turns: list[dict[str, Any]]
    videos: list[Any]
    """Those that its parts name, in their order."""


def plain(conversation: Sequence[Mapping[str, Any]], placeholder: str) -> Messages:
    """Return the conversation with `placeholder` where a video stands, and each part on a line of its own.

    Raises:
        UserError: it is no list of messages, or a part is neither a text nor a video.
    """
    messages = Messages([], [])
    for message in conversation:
        if not isinstance(message, Mapping) or "role" not in message:
            raise UserError(f"expected messages like {{role: user, content: …}}, found {shown(message)}")
        content = message.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            content = "\n".join(_text(part, placeholder, messages.videos) for part in content)
        messages.turns.append({**message, "content": content})
    return messages


def _text(part: Any, placeholder: str, videos: list[Any]) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "video":
        videos += [part[key] for key in _SOURCES if part.get(key) is not None][:1]
        return placeholder
    raise UserError(
        "expected the parts of a message to be {type: text, text: …} or {type: video, path: …}, found " + shown(part)
    )
