"""Texts and conversations as token sequences, with a placeholder for each token of their videos; cut, and padded.

Shape letters: B sequences, S positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.dataset import Turn
from vlmkit.api.video import VideoShape
from vlmkit.errors import UserError
from vlmkit.guard import component_error
from vlmkit.model.call_options import Side
from vlmkit.model.config import restore
from vlmkit.model.placeholders import (
    PlacedVideo,
    ShownVideos,
    check_count,
    expand_placeholders,
    insert_texts,
    placed_videos,
)
from vlmkit.model.tokens import IGNORE, VIDEO, Encoded, Ids, Rendered, Tokens, render_turns, tokenize

__all__ = ["SequenceMaker", "cut_tokens"]


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
        videos: Sequence[ShownVideos],
        max_length: int | None = None,
        padding_side: Side = "right",
    ) -> Encoded:
        """Tokenize conversations for training: the answers, with what ends them, are the labels.

        Args:
            samples: B conversations; `<video>` stands where a video goes, in any turn.
            videos: for each what it shows: nothing (None), one video or several, in the order of the `<video>`.
            max_length: longer sequences are cut at the end; None: as long as they are.
            padding_side: where shorter sequences are padded.

        Raises:
            UserError: where `<video>` and videos do not go together, these alone are longer than `max_length`, or the
                chat template is none that can be trained on.
        """
        tokens = self._sequences([render_turns(self.tokenizer, turns) for turns in samples], videos)
        token_id = self.tokenizer.video_token_id
        return self.pad([cut_tokens(item, max_length, token_id) for item in tokens], padding_side)

    def tokenize(self, texts: Sequence[str], videos: Sequence[ShownVideos]) -> list[Tokens]:
        """Tokenize prompts, as `prompt` gives them, with a placeholder for each token of their videos."""
        return self._sequences([Rendered(text, []) for text in texts], videos)

    def tokenize_continuations(self, prompt: str, texts: Sequence[str], videos: ShownVideos = None) -> list[Tokens]:
        """Tokenize texts that begin with a prompt, as `prompt` gives it; the tokens behind it are the labels."""
        rendered = [Rendered(text, [(len(prompt), len(text))]) for text in texts]
        return self._sequences(rendered, [videos] * len(texts))

    def _sequences(self, rendered: Sequence[Rendered], shown: Sequence[ShownVideos]) -> list[Tokens]:
        wrapped, counts = [], []
        for row, (item, each) in enumerate(zip(rendered, shown, strict=True)):
            videos = placed_videos(each)
            check_count(item.text, len(videos), row)
            expansions = [self.expansion(video) for video in videos]
            wrapped.append(insert_texts(item, [text for text, _ in expansions]))
            counts.append([count for _, lengths in expansions for count in lengths])
        token_id = self.tokenizer.video_token_id
        tokens = tokenize(self.tokenizer, wrapped)
        return [expand_placeholders(item, token_id, each) for item, each in zip(tokens, counts, strict=True)]

    def expansion(self, video: PlacedVideo) -> tuple[str, tuple[int, ...]]:
        """Return the text in place of a video's `<video>`, and how many tokens each `<video>` in it becomes.

        A UserError where the aligner takes no video of this shape, a PluginError where text and layout do not agree.
        """
        text, lengths = self.aligner.wrap(video.times), self._lengths(video.shape)
        if (found := text.count(VIDEO)) != len(lengths):
            wanted = f"expected {len(lengths)}, one for each part of its layout"
            raise component_error(self.aligner, f"wrap gives text with {found} {VIDEO}, {wanted}")
        return text, lengths

    def count_tokens(self, shape: VideoShape) -> int:
        """Return how many tokens a video becomes. A UserError where the aligner takes none of this shape."""
        return sum(self._lengths(shape))

    @cached_property
    def _known(self) -> dict[VideoShape, tuple[int, ...]]:
        """Lengths of the parts of shapes that were met, which are few: a layout takes a while."""
        return {}

    def _lengths(self, shape: VideoShape) -> tuple[int, ...]:
        try:
            if shape not in self._known:
                self._known[shape] = self.aligner.layout(shape).lengths
            return self._known[shape]
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
