"""From conversations to token ids and labels, by the tokenizer's chat template.

A conversation is a list of turns from a data set, or of messages as users of transformers write them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vlmkit.api.dataset import Turn
from vlmkit.errors import UserError, shown

__all__ = [
    "IGNORE",
    "VIDEO",
    "TextMessages",
    "Tokens",
    "expand_placeholder",
    "text_messages",
    "tokenize",
    "tokenize_turns",
]

Ids = npt.NDArray[np.int64]
IGNORE = -100
"""The label of a position that has no loss."""
VIDEO = "<video>"
"""The placeholder that stands where a video goes."""
_SOURCES = ("video", "path", "url")
"""Keys under which a part of type `video` may have its file or frames."""


class TextMessages(NamedTuple):
    """One conversation in which every content is a text."""

    messages: list[dict[str, Any]]
    videos: list[Any]
    """Those that its parts name, in their order."""


def text_messages(conversation: Sequence[Mapping[str, Any]]) -> TextMessages:
    """Return the conversation with `<video>` where a video stands, and each part on a line of its own.

    Raises:
        UserError: it is no list of messages, or a part is neither a text nor a video.
    """
    result = TextMessages([], [])
    for message in conversation:
        if not isinstance(message, Mapping) or "role" not in message:
            raise UserError(f"expected messages like {{role: user, content: …}}, found {shown(message)}")
        content = message.get("content")
        if isinstance(content, Sequence) and not isinstance(content, str):
            content = "\n".join(_part_text(part, result.videos) for part in content)
        result.messages.append({**message, "content": content})
    return result


def _part_text(part: Any, videos: list[Any]) -> str:
    kind = part.get("type") if isinstance(part, Mapping) else None
    if kind == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    if kind == "video":
        videos += [part[key] for key in _SOURCES if part.get(key) is not None][:1]
        return VIDEO
    raise UserError(
        "expected the parts of a message to be {type: text, text: …} or {type: video, path: …}, found " + shown(part)
    )


class Tokens(NamedTuple):
    """One tokenized text."""

    ids: Ids
    """(S,)."""
    labels: Ids
    """(S,): the ids that the loss is computed on, -100 elsewhere."""


class _Rendered(NamedTuple):
    text: str
    answers: list[tuple[int, int]]
    """Begin and end of each answer in the text, end-of-turn included, characters."""


def tokenize_turns(tokenizer: Any, conversations: Sequence[Sequence[Turn]]) -> list[Tokens]:
    """Tokenize conversations as the chat template renders them; the answers, with what ends them, are the labels."""
    return _encode(tokenizer, [_render(tokenizer, turns) for turns in conversations])


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[Tokens]:
    """Tokenize texts that are rendered already, without labels."""
    return _encode(tokenizer, [_Rendered(text, []) for text in texts])


def expand_placeholder(tokens: Tokens, video_token_id: int, count: int) -> Tokens:
    """Return the same with `count` placeholders where one stood."""
    repeats = np.where(tokens.ids == video_token_id, count, 1)
    return Tokens(np.repeat(tokens.ids, repeats), np.repeat(tokens.labels, repeats))


def _render(tokenizer: Any, turns: Sequence[Turn]) -> _Rendered:
    """Return the text and the places of its answers: what the template adds to a prompt when the answer is known."""
    messages: list[dict[str, str]] = []
    text, answers = "", []
    for turn in turns:
        messages.append({"role": "user", "content": turn.user})
        prompt = _apply(tokenizer, messages, add_generation_prompt=True)
        messages.append({"role": "assistant", "content": turn.assistant})
        whole = _apply(tokenizer, messages, add_generation_prompt=False)
        if not (prompt.startswith(text) and whole.startswith(prompt)):
            raise UserError(
                "the chat template cannot be used for training: expected that each turn only adds to the text before "
                f"it; found {text!r}, then the prompt {prompt!r}, then the whole {whole!r}; give another chat_template"
            )
        text = whole
        answers.append((len(prompt), len(whole)))
    return _Rendered(text, answers)


def _apply(tokenizer: Any, messages: Sequence[dict[str, str]], add_generation_prompt: bool) -> str:
    text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
    return text


def _encode(tokenizer: Any, rendered: Sequence[_Rendered]) -> list[Tokens]:
    """A begin-of-sequence token that the template writes is put as an id, so that what follows starts a text."""
    begin = tokenizer.bos_token or ""
    skip = [len(begin) if begin and item.text.startswith(begin) else 0 for item in rendered]
    texts = [item.text[start:] for item, start in zip(rendered, skip, strict=True)]
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    result = []
    for ids, offsets, item, start in zip(encoded["input_ids"], encoded["offset_mapping"], rendered, skip, strict=True):
        ids_S, ends_S = np.array(ids, np.int64), np.array(offsets, np.int64).reshape(-1, 2)[:, 1] + start
        is_answer_S = np.zeros(len(ids_S), bool)
        for first, last in item.answers:
            is_answer_S |= (ends_S > first) & (ends_S <= last)
        tokens = Tokens(ids_S, np.where(is_answer_S, ids_S, IGNORE))
        result.append(_prepend(tokens, tokenizer.bos_token_id) if start else tokens)
    return result


def _prepend(tokens: Tokens, token_id: int) -> Tokens:
    return Tokens(np.insert(tokens.ids, 0, token_id), np.insert(tokens.labels, 0, IGNORE))
