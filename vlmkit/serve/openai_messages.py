"""Messages of OpenAI's chat completions, with the videos and pictures that stand in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vlmkit.errors import shown
from vlmkit.model.messages import read_conversations
from vlmkit.model.tokens import VIDEO
from vlmkit.serve.api_errors import bad_request

__all__ = ["AskedConversation", "SourcePart", "read_messages"]

_ROLES = {"assistant": "assistant", "developer": "system", "system": "system", "user": "user"}
_MOST_VIDEOS = 16
"""In one conversation: each is decoded before anything is known of its tokens."""
_URL_PARTS = ("video_url", "image_url")
_OWN_PARTS = {"video": ("video", "path", "url", "base64"), "image": ("image", "path", "url", "base64")}
"""By the type of a part as transformers writes it, the keys that may hold its source."""


class SourcePart(NamedTuple):
    """A video or picture of a conversation."""

    source: str
    """A URL, or a path."""
    param: str
    """Where it stands in the request."""


class AskedConversation(NamedTuple):
    """A conversation as the model is given it."""

    messages: list[dict[str, Any]]
    """Roles and texts, with `<video>` where a video stands."""
    videos: list[SourcePart]
    """In the order of their `<video>`."""


def read_messages(messages: Sequence[Mapping[str, Any]]) -> AskedConversation:
    """Return the conversation. An ApiError that names the message or part where it is malformed or unsupported."""
    found: list[SourcePart] = []
    plain = [_message(message, f"messages.{number}", found) for number, message in enumerate(messages)]
    if plain[-1]["role"] != "user":
        raise bad_request("expected a last message by the user, which is to be answered", f"messages.{len(plain) - 1}")
    if len(found) > _MOST_VIDEOS:
        raise bad_request(
            f"expected at most {_MOST_VIDEOS} videos and pictures in a conversation, found {len(found)}; send those "
            "that the question is about",
            found[_MOST_VIDEOS].param,
        )
    [conversation], _ = read_conversations(plain)
    return AskedConversation(conversation.messages, found)


def _message(message: Mapping[str, Any], param: str, found: list[SourcePart]) -> dict[str, Any]:
    role, content = message.get("role"), message.get("content")
    if not isinstance(role, str) or role not in _ROLES:
        raise bad_request(f"{param}.role: expected one of {', '.join(_ROLES)}, found {shown(role)}", f"{param}.role")
    for name, value in message.items():
        if name not in ("role", "content") and value not in (None, []):
            raise bad_request(
                f"{param}.{name}: only role and content are supported; remove it", f"{param}.{name}",
                "unsupported_parameter",
            )  # fmt: skip
    if isinstance(content, str):
        return {"role": _ROLES[role], "content": _text(content, f"{param}.content")}
    if not isinstance(content, list) or not content:
        raise bad_request(
            f"{param}.content: expected text or a list of parts, found {shown(content)}", f"{param}.content"
        )
    parts = [_part(part, role, f"{param}.content.{number}", found) for number, part in enumerate(content)]
    return {"role": _ROLES[role], "content": parts}


def _part(part: object, role: str, param: str, found: list[SourcePart]) -> dict[str, Any]:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if not isinstance(part, Mapping) or not isinstance(kind, str):
        raise bad_request(f"{param}: expected a part {{type: …}}, found {shown(part)}", param)
    if kind == "text":
        _check_keys(part, ("type", "text"), param)
        if not isinstance(part.get("text"), str):
            raise bad_request(f"{param}.text: expected text, found {shown(part.get('text'))}", f"{param}.text")
        return {"type": "text", "text": _text(part["text"], f"{param}.text")}
    if kind not in (*_URL_PARTS, *_OWN_PARTS):
        known = ", ".join(("text", *_URL_PARTS, *_OWN_PARTS))
        raise bad_request(f"{param}.type: expected one of {known}, found {shown(kind)}", f"{param}.type")
    if role != "user":
        raise bad_request(f"{param}: a video or picture stands in a message of the user, not of {role}", param)
    found.append(_url_part(part, kind, param) if kind in _URL_PARTS else _own_part(part, kind, param))
    return {"type": "video", "url": found[-1].source}


def _url_part(part: Mapping[str, Any], kind: str, param: str) -> SourcePart:
    """Return the source of `{type: video_url, video_url: {url: …}}`."""
    _check_keys(part, ("type", kind), param)
    inner, where = part.get(kind), f"{param}.{kind}"
    if isinstance(inner, Mapping):
        detail = ("detail",) if inner.get("detail", "auto") == "auto" else ()  # of OpenAI's image_url
        _check_keys(inner, ("url", *detail), where)
        inner, where = inner.get("url"), f"{where}.url"
    return _source(inner, where)


def _own_part(part: Mapping[str, Any], kind: str, param: str) -> SourcePart:
    """Return the source of `{type: video, path: …}`."""
    keys = _OWN_PARTS[kind]
    _check_keys(part, ("type", *keys), param)
    named = [key for key in keys if part.get(key) is not None]
    if len(named) != 1:
        raise bad_request(f"{param}: expected one of {', '.join(keys)}, found {', '.join(named) or 'none'}", param)
    found = _source(part[named[0]], f"{param}.{named[0]}")
    return found._replace(source=f"data:;base64,{found.source}") if named[0] == "base64" else found


def _source(value: object, param: str) -> SourcePart:
    if not isinstance(value, str) or not value:
        raise bad_request(f"{param}: expected a URL as text, found {shown(value)}", param)
    return SourcePart(value, param)


def _text(text: str, param: str) -> str:
    if VIDEO in text:
        raise bad_request(
            f"{param}: {VIDEO} stands for a video and cannot be part of a text; send the video as a part "
            "{type: video_url, …}",
            param,
        )
    return text


def _check_keys(part: Mapping[str, Any], known: Sequence[str], param: str) -> None:
    for name, value in part.items():
        if name not in known and value is not None:
            raise bad_request(
                f"{param}: expected only {', '.join(known)}, found {shown(name)}; remove it", f"{param}.{name}",
                "unknown_parameter",
            )  # fmt: skip
