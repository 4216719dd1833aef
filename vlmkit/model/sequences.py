"""Texts and conversations as token sequences, with a placeholder for each token of their videos; cut, and padded.

Shape letters: B sequences, S positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.dataset import Turn
from vlmkit.api.video import VideoShape
from vlmkit.errors import UserError
from vlmkit.model.call_options import Side
from vlmkit.model.config import restore
from vlmkit.model.tokens import (
    IGNORE,
    VIDEO,
    Encoded,
    Ids,
    Tokens,
    expand_placeholder,
    tokenize,
    tokenize_continuations,
    tokenize_turns,
)

__all__ = ["SequenceMaker", "cut_tokens", "deal_videos"]

T = TypeVar("T")


class SequenceMaker:
    """The part of the processor that makes tokens of texts."""

    tokenizer: Any
    model: dict[str, Any]
    """The model's spec, as `vlmkit.model.config.describe` gives it."""
    components: dict[str, dict[str, str]]
    """The packages that its components come from."""

    @cached_property
    def aligner(self) -> AlignerSpec:
        """The spec of the aligner. A CheckpointError where its plugin is missing."""
        return restore(self.model, self.components).aligner

    def encode(
        self,
        samples: Sequence[Sequence[Turn]],
        shapes: Sequence[VideoShape | None],
        max_length: int | None = None,
        padding_side: Side = "right",
    ) -> Encoded:
        """Tokenize conversations for training: the answers, with what ends them, are the labels.

        Args:
            samples: B conversations; `<video>` stands once where the video goes, or nowhere.
            shapes: for each the fitted shape of its video, or None.
            max_length: longer sequences are cut at the end; None: as long as they are.
            padding_side: where shorter sequences are padded.

        Raises:
            UserError: where `<video>` and shape do not go together, the video alone is longer than `max_length`, or the
                chat template is none that can be trained on.
        """
        tokens = self._expand(tokenize_turns(self.tokenizer, samples), shapes)
        token_id = self.tokenizer.video_token_id
        return self.pad([cut_tokens(item, max_length, token_id) for item in tokens], padding_side)

    def tokenize(self, texts: Sequence[str], shapes: Sequence[VideoShape | None]) -> list[Tokens]:
        """Tokenize prompts, as `prompt` gives them, with a placeholder for each token of their videos."""
        return self._expand(tokenize(self.tokenizer, texts), shapes)

    def tokenize_continuations(
        self, prompt: str, texts: Sequence[str], shape: VideoShape | None = None
    ) -> list[Tokens]:
        """Tokenize texts that begin with a prompt, as `prompt` gives it; the tokens behind it are the labels."""
        return self._expand(tokenize_continuations(self.tokenizer, prompt, texts), [shape] * len(texts))

    def _expand(self, tokens: Sequence[Tokens], shapes: Sequence[VideoShape | None]) -> list[Tokens]:
        token_id = self.tokenizer.video_token_id
        expanded = []
        for row, (item, shape) in enumerate(zip(tokens, shapes, strict=True)):
            found, expected = int((item.ids == token_id).sum()), int(shape is not None)
            if found != expected:
                whose = "one video belongs to it" if expected else "no video belongs to it"
                raise UserError(f"text {row} of the batch holds {VIDEO} {found} times, but {whose}")
            item = Tokens(item.ids, np.where(item.ids == token_id, IGNORE, item.labels))
            expanded.append(item if shape is None else expand_placeholder(item, token_id, self.count_tokens(shape)))
        return expanded

    @cached_property
    def _counts(self) -> dict[VideoShape, int]:
        """Tokens of the shapes that were met, which are few: a layout takes a while."""
        return {}

    def count_tokens(self, shape: VideoShape) -> int:
        """Return how many tokens a video becomes. A UserError where the aligner takes none of this shape."""
        try:
            if shape not in self._counts:
                self._counts[shape] = self.aligner.layout(shape).tokens
            return self._counts[shape]
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"aligner {self.aligner.type!r} does not take a video of this shape: {error}") from error

    def pad(self, tokens: Sequence[Tokens], side: Side = "left", length: int | None = None) -> Encoded:
        """Return B token sequences as one batch; those shorter than the longest, or than `length`, are padded."""

        def padded(rows: Sequence[Ids], value: int) -> Tensor:
            tensors = [torch.from_numpy(row) for row in rows]
            batch_BS = pad_sequence(tensors, batch_first=True, padding_value=value, padding_side=side)
            more = max(0, (length or 0) - batch_BS.shape[1])
            return pad(batch_BS, (more, 0) if side == "left" else (0, more), value=value)

        ids, labels = [item.ids for item in tokens], [item.labels for item in tokens]
        mask = padded([np.ones_like(row) for row in ids], 0)
        return Encoded(padded(ids, self.tokenizer.pad_token_id), mask, padded(labels, IGNORE))


def deal_videos(texts: Sequence[str], videos: Sequence[T]) -> list[T | None]:
    """Assign videos, in their order, to the texts that have a placeholder. A UserError where the numbers differ."""
    wanting = [VIDEO in text for text in texts]
    if sum(wanting) != len(videos):
        raise UserError(
            f"{sum(wanting)} of {len(texts)} texts hold {VIDEO}, but {len(videos)} videos are given; "
            f"give one video or picture for each such text, and write {VIDEO} where it goes"
        )
    rest = iter(videos)
    return [next(rest) if wants else None for wants in wanting]


def cut_tokens(tokens: Tokens, max_length: int | None, token_id: int) -> Tokens:
    """Return at most the first `max_length` tokens. A UserError where that would cut a video, of placeholders
    `token_id`."""
    if max_length is None or len(tokens.ids) <= max_length:
        return tokens
    if (tokens.ids[max_length:] == token_id).any():
        visual = int((tokens.ids == token_id).sum())
        raise UserError(
            f"max_length {max_length} leaves no room for the {visual} tokens of a video; raise it, or give the "
            "aligner fewer frames or a smaller size"
        )
    return Tokens(tokens.ids[:max_length], tokens.labels[:max_length])
