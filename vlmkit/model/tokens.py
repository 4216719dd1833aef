"""Conversations as token ids and labels, and their loss; checks of tokenizers; places of visual tokens.

Shape letters: B sequences, S positions, V videos, N visual tokens of a video, D LLM width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import AddedToken
from torch import Tensor
from torch.nn import functional as F

from vlmkit.api.bounds import MOST_TOKENS
from vlmkit.api.tensors import VisualTokens
from vlmkit.errors import UserError, shown

__all__ = [
    "IGNORE",
    "VIDEO",
    "Encoded",
    "Ids",
    "Rendered",
    "Tokens",
    "add_special_tokens",
    "as_visual_tokens",
    "check_generation",
    "check_rows",
    "check_tokenizer",
    "find_placeholders",
    "insert_visual_tokens",
    "language_loss",
    "positions_with_targets",
    "tokenize",
]

Ids = npt.NDArray[np.int64]
IGNORE = -100
"""The label of a position that has no loss."""
VIDEO = "<video>"
"""The placeholder that stands where a video goes."""


class Encoded(NamedTuple):
    """Token sequences as tensors."""

    input_ids: Tensor
    """(B, S) int64."""
    attention_mask: Tensor
    """(B, S) int64, 0 where padded."""
    labels: Tensor
    """(B, S) int64, -100 where there is no loss."""


class Tokens(NamedTuple):
    """One tokenized text."""

    ids: Ids
    """(S,)."""
    labels: Ids
    """(S,): the ids that the loss is computed on, -100 elsewhere."""
    read: tuple[str, ...] = ()
    """What the aligner reads for each of its blocks of tokens, where it reads text."""


class Rendered(NamedTuple):
    """A text as the chat template gives it."""

    text: str
    answers: list[tuple[int, int]]
    """Begin and end of each answer in the text, end-of-turn included, characters."""
    read: Sequence[str] | None = None
    """What an aligner that reads text reads for each `<video>`; None: not known."""


def tokenize(tokenizer: Any, rendered: Sequence[Rendered]) -> list[Tokens]:
    """Tokenize texts; the tokens of their answers, with what ends them, are the labels.

    A begin-of-sequence token that the template writes is put as an id: what follows then starts a text.
    """
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
        if start:
            tokens = Tokens(np.insert(tokens.ids, 0, tokenizer.bos_token_id), np.insert(tokens.labels, 0, IGNORE))
        result.append(tokens)
    return result


_NEEDED = {
    "eos_token": "an end token; without one, no answer ever ends",
    "pad_token": "a token to pad with; without one, sequences of several lengths make no batch",
    "video_token": "the token <video>, in whose place a video stands",
}
_TURNS = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "."}]
_SHOWN = 5


def check_tokenizer(tokenizer: Any, where: str, error: type[UserError] = UserError) -> None:
    """Raise `error` where a token is missing that every conversation needs. `where` begins the message."""
    for name, what in _NEEDED.items():
        if getattr(tokenizer, f"{name}_id", None) is None:
            raise error(
                f"{where}: the tokenizer has no {name}: expected {what}; name it in its tokenizer_config.json, or give "
                "the tokenizer that the language model was made with"
            )


def add_special_tokens(tokenizer: Any, names: Sequence[str]) -> int:
    """Give a tokenizer the special tokens that it lacks, each the next free id, and return how many rows a table needs
    for all of them."""
    missing = [name for name in names if name not in tokenizer.get_vocab()]
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in missing], special_tokens=True)
    return max((index + 1 for index in tokenizer.convert_tokens_to_ids([*names])), default=0)


def check_rows(tokenizer: Any, table: Any, where: str, error: type[UserError] = UserError) -> None:
    """Raise `error` where text could hold tokens that the embedding table has no rows for.

    Added tokens that the chat template does not write are not counted, such as the placeholder: they need not occur.
    """
    rows = table.weight.shape[0]
    added = tokenizer.added_tokens_decoder
    tokens = 1 + max((index for index in tokenizer.get_vocab().values() if index not in added), default=-1)
    if tokens > rows:
        raise error(
            f"{where}: the tokenizer has {tokens:,} tokens, the language model's table {rows:,} rows; give it the "
            "tokenizer that it was made with, or a larger `vocab_size`"
        )
    beyond = sorted(index for index in _written(tokenizer) if index >= rows and index != tokenizer.video_token_id)
    if beyond:
        named = ", ".join(f"{shown(tokenizer.convert_ids_to_tokens(i))} ({i})" for i in beyond[:_SHOWN])
        more = ", …" if len(beyond) > _SHOWN else ""
        raise error(
            f"{where}: every conversation holds {named}{more}, but the language model's table has {rows:,} rows, for "
            f"the tokens 0 to {rows - 1:,}; give another chat_template, the tokenizer that it was made with, or "
            "weights whose table was enlarged"
        )


def check_generation(generation: Any, where: str, error: type[UserError] = UserError) -> None:
    """Raise `error` where generation_config.json has something else than numbers of tokens where they belong."""
    for name in ("bos_token_id", "eos_token_id", "pad_token_id", "suppress_tokens"):
        value = getattr(generation, name, None)
        found = value if isinstance(value, list | tuple) else [] if value is None else [value]
        if not all(type(index) is int and -1 <= index < MOST_TOKENS for index in found):
            raise error(f"{where}: generation_config.json: {name}: expected numbers of tokens, found {shown(value)}")


def find_placeholders(input_ids: Tensor, video_token_id: int, mask: Tensor) -> Tensor:
    """Return (V, N, 2) int64: row and column of each visual token among (B, S) `input_ids`, -1 where `mask` is False.

    The videos stand in the order of the rows, and within a row in the order of its text; a row holds all tokens of each
    of its videos.

    Args:
        input_ids: (B, S).
        video_token_id: the id of `<video>`.
        mask: (V, N) bool, of `VisualTokens`.

    Raises:
        ValueError: the numbers of placeholders and of visual tokens differ.
    """
    is_placeholder = input_ids == video_token_id
    counts, tokens = is_placeholder.sum(1), mask.sum(1)
    ends, video_ends = counts.cumsum(0), tokens.cumsum(0)
    if counts.sum() != tokens.sum() or not torch.isin(ends[ends > 0], video_ends).all():
        rows = counts.nonzero().squeeze(1)
        raise ValueError(
            f"{tokens.numel()} videos give {tokens.tolist()} visual tokens, but the rows {rows.tolist()} of input_ids "
            f"hold {counts[rows].tolist()} placeholders <video>; make both with the processor of this model, and give "
            "the videos in the order of the rows, those of a row in the order of its text"
        )
    positions = mask.new_full((*mask.shape, 2), -1, dtype=torch.int64)
    positions[mask] = is_placeholder.nonzero()
    return positions


def insert_visual_tokens(text: Tensor, visual: VisualTokens, positions: Tensor) -> Tensor:
    """Return (B, S, D) text embeddings with the visual tokens at the `positions` of `find_placeholders`."""
    rows, columns = positions[visual.mask].unbind(1)
    return text.index_put((rows, columns), visual.embeddings[visual.mask].to(text.dtype))


def as_visual_tokens(embeds: Tensor, mask: Tensor | None) -> VisualTokens:
    """Return (V, N, D) tokens that were computed before; nobody needs to know any more which patches they stand for."""
    if mask is None:
        mask = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
    return VisualTokens(embeds, mask, mask.new_empty((len(embeds), 0, 0, 0), dtype=torch.int64))


def positions_with_targets(labels: Tensor) -> Tensor:
    """Return (K,) positions whose next token is a label in any row: only there are logits worth their memory."""
    return (labels[:, 1:] != IGNORE).any(0).nonzero().squeeze(1)


def language_loss(logits: Tensor, targets: Tensor, count: Tensor | int | None) -> Tensor:
    """Return the mean cross-entropy in float32; 0 where there is no target."""
    total = F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
    if count is None:
        count = (targets != IGNORE).sum().clamp(min=1)
    return total / count


def _written(tokenizer: Any) -> set[int]:
    """Return the ids of all tokens that padding and the chat template put into a conversation."""
    found = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    for turns in (_TURNS[:1], _TURNS):
        try:
            text = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=len(turns) == 1)
        except Exception:
            if len(turns) == 1:
                raise
            continue  # a template for prompts alone; training says so
        found |= set(tokenizer(text, add_special_tokens=False)["input_ids"])
    return found
