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
from vlmkit.api.tensors import TextBatch
from vlmkit.api.text import TextInput
from vlmkit.api.video import VideoShape
from vlmkit.errors import UserError
from vlmkit.guard import component_error
from vlmkit.model.call_options import Side
from vlmkit.model.config import restore
from vlmkit.model.placeholders import (
    PlacedVideo,
    ShownVideos,
    check_count,
    drop_empty,
    expand_placeholders,
    insert_texts,
    placed_videos,
)
from vlmkit.model.prompts import render_turns
from vlmkit.model.text_inputs import make_text_batch, place_in_turns, read_words
from vlmkit.model.tokens import IGNORE, VIDEO, Encoded, Ids, Rendered, Tokens, tokenize

__all__ = ["SequenceMaker", "cut_tokens"]


class SequenceMaker:
    """The part of the processor that makes tokens of texts."""

    tokenizer: Any
    model: dict[str, Any]
    """The model's spec, as `vlmkit.model.config.describe` gives it."""
    components: dict[str, dict[str, str]]
    """The packages that its components come from."""
    text_words: str | None = None
    """The tokenizer of an aligner that reads text, as the content of a tokenizer.json."""

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
        *,
        systems: Sequence[str] | None = None,
    ) -> Encoded:
        """Tokenize conversations for training, as `sequences` does, and pad shorter ones on this side."""
        return self.pad(self.sequences(samples, videos, max_length, systems=systems), padding_side)

    def sequences(
        self,
        samples: Sequence[Sequence[Turn]],
        videos: Sequence[ShownVideos],
        max_length: int | None = None,
        *,
        systems: Sequence[str] | None = None,
    ) -> list[Tokens]:
        """Tokenize conversations for training: the answers, with what ends them, are the labels.

        Args:
            samples: B conversations; `<video>` stands where a video goes, in any turn.
            videos: for each what it shows: nothing (None), one video or several, in the order of the `<video>`.
            max_length: longer sequences are cut at the end; None: as long as they are. Where an aligner that reads text
                gives tokens for each question, the last turns whose tokens have no room are left out.
            systems: for each conversation the words of the system before it, as in `prompt`; None: nothing.

        Raises:
            UserError: where `<video>` and videos do not go together, these alone are longer than `max_length`, or the
                chat template is none that can be trained on.
        """
        rendered = []
        before = [""] * len(samples) if systems is None else systems
        for turns, shown, system in zip(samples, videos, before, strict=True):
            placed, read = self._in_turns(turns, shown, system)
            rendered.append(render_turns(self.tokenizer, placed, system)._replace(read=read))
        tokens = self._sequences(rendered, videos)
        return [self._cut(*each, max_length) for each in zip(tokens, samples, videos, before, strict=True)]

    def _cut(
        self, tokens: Tokens, turns: Sequence[Turn], shown: ShownVideos, system: str, max_length: int | None
    ) -> Tokens:
        token_id = self.tokenizer.video_token_id
        is_long = max_length is not None and bool((tokens.ids[max_length:] == token_id).any())
        if (
            is_long
            and len(placed_videos(shown)) == 1 < len(tokens.read)
            and VIDEO in "".join(t.user for t in turns[:-1])
        ):
            return self.sequences([turns[:-1]], [shown], max_length, systems=[system])[0]
        return cut_tokens(tokens, max_length, token_id)

    def _in_turns(
        self, turns: Sequence[Turn], shown: ShownVideos, system: str
    ) -> tuple[Sequence[Turn], list[str] | None]:
        """Return the turns with a `<video>` for each block of tokens, and what the aligner reads for each."""
        videos = len(placed_videos(shown))
        if (text := self.text_input(videos)) is None:
            return turns, None
        return place_in_turns(text, turns, videos, system)

    def text_input(self, videos: int) -> TextInput | None:
        """Return what the aligner reads where so many videos are shown: nothing where there are none."""
        return self.aligner.text_input if videos else None

    def text_batch(self, texts: Sequence[Sequence[str]], videos: Sequence[int]) -> TextBatch | None:
        """Return what the aligner reads for the blocks of several rows; None where it reads nothing.

        Args:
            texts: for each row what is read for each of its blocks.
            videos: how many videos each row shows. All blocks of a single one are its own.
        """
        if not any(texts):
            return None
        text, found, first = self.aligner.text_input, [], 0
        for row, count in zip(texts, videos, strict=True):
            found += [first if count == 1 else first + block for block in range(len(row))]
            first += count
        assert text is not None
        return make_text_batch(self.words(text), text, [each for row in texts for each in row], found)

    def row_inputs(self, tokens: Sequence[Tokens], videos: Sequence[int]) -> dict[str, Tensor]:
        """Return the model's argument that says which row each video, or each block of tokens, belongs to: placeholders
        do not say it of prompts. Nothing where the aligner gives none.

        Args:
            tokens: of each row.
            videos: how many videos each row shows.
        """
        if not self.aligner.num_prompts or not any(videos):
            return {}
        blocks = [len(item.read) or count for item, count in zip(tokens, videos, strict=True)]
        return {"video_rows": torch.arange(len(blocks)).repeat_interleave(torch.tensor(blocks))}

    def words(self, text: TextInput) -> str:
        """Return the aligner's tokenizer, as the content of a tokenizer.json."""
        if self.text_words is None:
            self.text_words = read_words(text)
        return self.text_words

    def tokenize(
        self, texts: Sequence[str], videos: Sequence[ShownVideos], read: Sequence[Sequence[str]] | None = None
    ) -> list[Tokens]:
        """Tokenize prompts, as `prompt` gives them, with a placeholder for each token of their videos.

        `read` is what an aligner that reads text reads for each `<video>` of each text.
        """
        each_read = [None] * len(texts) if read is None else read
        return self._sequences([Rendered(text, [], each) for text, each in zip(texts, each_read, strict=True)], videos)

    def tokenize_continuations(
        self, prompt: str, texts: Sequence[str], videos: ShownVideos = None, read: Sequence[str] | None = None
    ) -> list[Tokens]:
        """Tokenize texts that begin with a prompt, as `prompt` gives it; the tokens behind it are the labels."""
        rendered = [Rendered(text, [(len(prompt), len(text))], read) for text in texts]
        return self._sequences(rendered, [videos] * len(texts))

    def _sequences(self, rendered: Sequence[Rendered], shown: Sequence[ShownVideos]) -> list[Tokens]:
        wrapped, counts, texts = [], [], []
        for row, (item, each) in enumerate(zip(rendered, shown, strict=True)):
            blocks, read = self._blocks(item, placed_videos(each), row)
            expansions = [self.expansion(video) for video in blocks]
            whole = insert_texts(item, [text for text, _ in expansions])
            text, lengths = drop_empty(whole, [count for _, lengths in expansions for count in lengths])
            wrapped.append(text)
            counts.append(lengths)
            texts.append(read)
        token_id, tokens = self.tokenizer.video_token_id, tokenize(self.tokenizer, wrapped)
        return [
            expand_placeholders(item, token_id, count)._replace(read=read)
            for item, count, read in zip(tokens, counts, texts, strict=True)
        ]

    def _blocks(self, item: Rendered, videos: list[PlacedVideo], row: int) -> tuple[list[PlacedVideo], tuple[str, ...]]:
        """Return the video of each `<video>` in a text, and what the aligner reads for it."""
        text = self.text_input(len(videos))
        if text is not None and len(videos) == 1:
            videos = videos * max(1, item.text.count(VIDEO))
        check_count(item.text, len(videos), row)
        if text is None:
            return videos, ()
        read = [text.text] * len(videos) if text.source == "fixed" else item.read
        if read is None:
            raise UserError(
                f"aligner {self.aligner.type!r} reads the {text.source} with each video: give `questions`, or messages "
                "to apply_chat_template"
            )
        assert len(read) == len(videos)
        return videos, tuple(read)

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
    return tokens._replace(ids=tokens.ids[:max_length], labels=tokens.labels[:max_length])
