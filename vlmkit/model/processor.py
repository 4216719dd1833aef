"""The processor: prompts, conversations and videos become the tensors that the model takes.

Shape letters: B sequences, S positions, V videos, T frames, H W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchFeature, ProcessorMixin

from vlmkit.api.aligner import AlignerSpec
from vlmkit.api.dataset import Turn
from vlmkit.api.reader import ReaderSpec
from vlmkit.api.video import VideoShape
from vlmkit.data import FittedVideo, VideoSource, to_batch
from vlmkit.errors import UserError
from vlmkit.manifest import check_saved, updating_manifest
from vlmkit.model.config import check_installed, refuse_code, restore
from vlmkit.model.prompts import render_prompt
from vlmkit.model.tokens import (
    IGNORE,
    VIDEO,
    Encoded,
    Ids,
    Tokens,
    expand_placeholder,
    text_messages,
    tokenize,
    tokenize_continuations,
    tokenize_turns,
)
from vlmkit.model.video_inputs import fit_source, listed_videos, sampled_input
from vlmkit.spec.loading import read_component

__all__ = ["VideoLMProcessor"]

Side = Literal["left", "right"]


class VideoLMProcessor(ProcessorMixin):
    """Tokenizer, chat template and the aligner's options: which pixels it takes, how many tokens a video becomes."""

    def __init__(
        self,
        tokenizer: Any = None,
        model: dict[str, Any] | None = None,
        components: dict[str, dict[str, str]] | None = None,
        reader: str | dict[str, Any] = "decord",
        chat_template: Any = None,
        reader_origin: dict[str, dict[str, str]] | None = None,
    ) -> None:
        """Take a tokenizer, and a model's spec as `vlmkit.model.config.describe` gives it.

        `reader` is the component that decodes video files, `reader_origin` where it comes from. The chat template is
        always the tokenizer's.
        """
        self.tokenizer = tokenizer
        self.model = model or {}
        self.components = components or {}
        self.reader = reader
        self.reader_origin = reader_origin or {}
        self.chat_template = None

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> Any:
        """As in transformers; the files get their checksums in the folder's manifest."""
        with updating_manifest(Path(save_directory)):
            return super().save_pretrained(save_directory, **kwargs)

    @cached_property
    def aligner(self) -> AlignerSpec:
        """The spec of the aligner. A CheckpointError where its plugin is missing."""
        return restore(self.model, self.components).aligner

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As in transformers. Code that comes with the folder is never run.

        A CheckpointError where a file is not what the folder's manifest (`checksums.json`) says.
        """
        refuse_code(pretrained_model_name_or_path)
        check_saved(pretrained_model_name_or_path, subfolder=kwargs.get("subfolder"))
        return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs | {"trust_remote_code": False})

    def prompt(self, user: str, system: str = "", reply: str = "") -> str:
        """Return one user turn as the chat template renders it, up to where the answer begins.

        Args:
            user: the user's words, with `<video>` where a video goes.
            system: words of the system before them. A chat template that has no place for them, as many have none,
                gets them as the first line of the user's.
            reply: words that the answer is made to begin with; the model goes on after them.
        """
        return render_prompt(self.tokenizer, user, system, reply)

    def apply_chat_template(
        self,
        conversation: Any,
        chat_template: str | None = None,
        *,
        tokenize: bool = False,
        return_dict: bool = False,
        videos: VideoSource | Sequence[VideoSource] | None = None,
        padding_side: Side = "left",
        return_tensors: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in transformers, with the tokenizer's own chat template.

        Args:
            conversation: messages `{role: …, content: …}`, or a list of such lists. A content is a text, or a list of
                parts `{type: text, text: …}` and `{type: video, path: …}`, each of which stands on a line of its own.
            chat_template: another Jinja template.
            tokenize: give what `VideoLM.generate` takes instead of texts.
            return_dict: with `tokenize`, all of it, otherwise only the `input_ids`.
            videos: with `tokenize`, those of contents that have `<video>` in their text, as in a call.
            padding_side: with `tokenize`, where shorter sequences are padded.
            return_tensors: nothing; what is given are torch's.
            kwargs: what the template is given besides, e.g. `add_generation_prompt`.

        Raises:
            UserError: where a part is neither text nor video, or videos and texts do not belong together.
        """
        many = bool(conversation) and isinstance(conversation[0], list | tuple)
        conversations = [text_messages(turns) for turns in (conversation if many else [conversation])]
        texts = [
            self.tokenizer.apply_chat_template(messages, chat_template=chat_template, tokenize=False, **kwargs)
            for messages, _ in conversations
        ]
        if not tokenize:
            return texts if many else texts[0]
        named = [video for _, found in conversations for video in found]
        features = self(texts, [*named, *listed_videos(videos)], padding_side)
        return features if return_dict else features["input_ids"]

    def __call__(
        self,
        text: str | Sequence[str],
        videos: VideoSource | Sequence[VideoSource] | None = None,
        padding_side: Side = "left",
        **kwargs: Any,
    ) -> BatchFeature:
        """Return the keyword arguments of `VideoLM.generate`.

        Args:
            text: prompts, as `prompt` gives them.
            videos: one for each text that has `<video>`, in that order: a path, (n, H, W, 3) uint8 RGB frames that are
                sampled already, or a fitted video. A single one may stand without a list.
            padding_side: where shorter sequences are padded.
            kwargs: nothing; transformers passes `return_tensors="pt"`, which is what is done anyway.

        Returns:
            `input_ids`, `attention_mask` (B, S) and, with videos, `pixel_values_videos`, `content_box`, `frame_mask`.

        Raises:
            UserError: where texts and videos do not belong together, or a video cannot be read.
        """
        if unknown := set(kwargs) - {"return_tensors", "padding"}:
            raise TypeError(f"unexpected arguments: {', '.join(sorted(unknown))}")
        texts = [text] if isinstance(text, str) else list(text)
        fitted = [self.fit(video) for video in listed_videos(videos)]
        shapes = self._deal(texts, [video.shape for video in fitted])
        encoded = self.pad(self.tokenize(texts, shapes), padding_side)
        features = {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}
        if fitted:
            features |= to_batch(fitted, self.aligner.input).model_inputs()
        return BatchFeature(features)

    def fit(
        self,
        video: VideoSource,
        span: tuple[float, float] | None = None,
        sampling: str | Mapping[str, Any] | None = None,
    ) -> FittedVideo:
        """Fit one video, or a picture, which is a video of one frame, on the aligner's canvas.

        Args:
            video: a path, URL, the content of a file, or frames, which are chosen already; see `VideoSource`.
            span: only the part of a video's file between these seconds.
            sampling: the sampler that chooses the frames of a file in the place of the aligner's: its name, or its
                options with `type`; with `frames` among them also another number of frames.

        Raises:
            UserError: it cannot be read, or has more frames than the aligner takes.
        """
        return fit_source(video, sampled_input(self.aligner.input, sampling), self._reader, span)

    def _reader(self) -> ReaderSpec:
        """Return the spec of the component that decodes video files. A CheckpointError where its plugin is missing."""
        for key, origin in self.reader_origin.items():
            check_installed(key, origin)
        spec = read_component(ReaderSpec.kind, self.reader, "processor_config.json, `reader`")
        assert isinstance(spec, ReaderSpec)
        return spec

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
        return self.pad([self._cut(item, max_length) for item in tokens], padding_side)

    def tokenize(self, texts: Sequence[str], shapes: Sequence[VideoShape | None]) -> list[Tokens]:
        """Tokenize prompts, as `prompt` gives them, with a placeholder for each token of their videos."""
        return self._expand(tokenize(self.tokenizer, texts), shapes)

    def tokenize_continuations(
        self, prompt: str, texts: Sequence[str], shape: VideoShape | None = None
    ) -> list[Tokens]:
        """Tokenize texts that begin with a prompt, as `prompt` gives it; the tokens behind it are the labels."""
        return self._expand(tokenize_continuations(self.tokenizer, prompt, texts), [shape] * len(texts))

    def _deal(self, texts: Sequence[str], shapes: Sequence[VideoShape]) -> list[VideoShape | None]:
        """Assign the videos, in their order, to the texts that have a placeholder."""
        wanting = [VIDEO in text for text in texts]
        if sum(wanting) != len(shapes):
            raise UserError(
                f"{sum(wanting)} of {len(texts)} texts hold {VIDEO}, but {len(shapes)} videos are given; "
                "give one video for each such text"
            )
        rest = iter(shapes)
        return [next(rest) if wants else None for wants in wanting]

    def _expand(self, tokens: Sequence[Tokens], shapes: Sequence[VideoShape | None]) -> list[Tokens]:
        token_id = self.tokenizer.video_token_id
        expanded = []
        for row, (item, shape) in enumerate(zip(tokens, shapes, strict=True)):
            found, expected = int((item.ids == token_id).sum()), int(shape is not None)
            if found != expected:
                whose = "one video belongs to it" if expected else "no video belongs to it"
                raise UserError(f"text {row} of the batch holds {VIDEO} {found} times, but {whose}")
            item = Tokens(item.ids, np.where(item.ids == token_id, IGNORE, item.labels))
            expanded.append(item if shape is None else expand_placeholder(item, token_id, self._count(shape)))
        return expanded

    @cached_property
    def _counts(self) -> dict[VideoShape, int]:
        """Tokens of the shapes that were met, which are few: a layout takes a while."""
        return {}

    def _count(self, shape: VideoShape) -> int:
        try:
            if shape not in self._counts:
                self._counts[shape] = self.aligner.layout(shape).tokens
            return self._counts[shape]
        except UserError:
            raise
        except ValueError as error:
            raise UserError(f"aligner {self.aligner.type!r} does not take a video of this shape: {error}") from error

    def _cut(self, tokens: Tokens, max_length: int | None) -> Tokens:
        if max_length is None or len(tokens.ids) <= max_length:
            return tokens
        if (tokens.ids[max_length:] == self.tokenizer.video_token_id).any():
            visual = int((tokens.ids == self.tokenizer.video_token_id).sum())
            raise UserError(
                f"max_length {max_length} leaves no room for the {visual} tokens of a video; raise it, or give the "
                "aligner fewer frames or a smaller size"
            )
        return Tokens(tokens.ids[:max_length], tokens.labels[:max_length])

    def pad(self, tokens: Sequence[Tokens], side: Side = "left") -> Encoded:
        """Return B token sequences as one batch; shorter ones are padded on this side."""

        def padded(rows: Sequence[Ids], value: int) -> Tensor:
            tensors = [torch.from_numpy(row) for row in rows]
            return pad_sequence(tensors, batch_first=True, padding_value=value, padding_side=side)

        ids, labels = [item.ids for item in tokens], [item.labels for item in tokens]
        mask = padded([np.ones_like(row) for row in ids], 0)
        return Encoded(padded(ids, self.tokenizer.pad_token_id), mask, padded(labels, IGNORE))
