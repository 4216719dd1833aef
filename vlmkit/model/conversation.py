"""From conversations to token ids and labels, by the tokenizer's chat template."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vlmkit.api.dataset import Turn
from vlmkit.errors import UserError

__all__ = ["IGNORE", "Tokens", "expand", "tokenize", "tokenize_turns"]

Ids = npt.NDArray[np.int64]
IGNORE = -100
"""The label of a position that is not learnt."""


class Tokens(NamedTuple):
    """One tokenized text."""

    ids: Ids
    """(S,)."""
    labels: Ids
    """(S,): the ids of what is learnt, -100 elsewhere."""


class _Rendered(NamedTuple):
    text: str
    answers: list[tuple[int, int]]
    """Begin and end of each answer in the text, end-of-turn included, characters."""


def tokenize_turns(tokenizer: Any, conversations: Sequence[Sequence[Turn]]) -> list[Tokens]:
    """Conversations as the chat template puts them; the answers, with what ends them, are learnt."""
    return _encode(tokenizer, [_render(tokenizer, turns) for turns in conversations])


def tokenize(tokenizer: Any, texts: Sequence[str]) -> list[Tokens]:
    """Texts that are rendered already; nothing is learnt."""
    return _encode(tokenizer, [_Rendered(text, []) for text in texts])


def expand(tokens: Tokens, video_token_id: int, count: int) -> Tokens:
    """The same with `count` placeholders where one stood."""
    repeats = np.where(tokens.ids == video_token_id, count, 1)
    return Tokens(np.repeat(tokens.ids, repeats), np.repeat(tokens.labels, repeats))


def _render(tokenizer: Any, turns: Sequence[Turn]) -> _Rendered:
    """The text, and where the answers stand in it: what the template adds to a prompt when the answer is known."""
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
        learnt_S = np.zeros(len(ids_S), bool)
        for first, last in item.answers:
            learnt_S |= (ends_S > first) & (ends_S <= last)
        tokens = Tokens(ids_S, np.where(learnt_S, ids_S, IGNORE))
        result.append(_prepend(tokens, tokenizer.bos_token_id) if start else tokens)
    return result


def _prepend(tokens: Tokens, token_id: int) -> Tokens:
    return Tokens(np.insert(tokens.ids, 0, token_id), np.insert(tokens.labels, 0, IGNORE))
