"""The processor: prompts, conversations and videos become the tensors that the model takes.

Shape letters: B sequences, S positions, V videos, T frames, H W pixels.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from transformers import BatchFeature, ProcessorMixin

from vlmkit.api.reader import ReaderSpec
from vlmkit.data import FittedVideo, VideoSource, to_batch
from vlmkit.errors import UserError, shown
from vlmkit.manifest import check_saved, updating_manifest
from vlmkit.model.call_options import CallOptions, Side, is_call_option
from vlmkit.model.config import check_installed, refuse_code
from vlmkit.model.engine_inputs import ENGINE_OPTIONS, engine_inputs
from vlmkit.model.messages import gather_videos, read_conversations
from vlmkit.model.placeholders import deal_videos
from vlmkit.model.prompts import render_conversation, render_prompt
from vlmkit.model.sequences import cut_tokens
from vlmkit.model.text_inputs import place_in_messages, text_about
from vlmkit.model.video_counts import VideoCounts
from vlmkit.model.video_inputs import fit_source, listed_images, listed_videos, sampled_input
from vlmkit.spec.loading import read_component

__all__ = ["VideoLMProcessor"]


class VideoLMProcessor(VideoCounts, ProcessorMixin):
    """Tokenizer, chat template and the aligner's options: which pixels it takes, how many tokens a video becomes."""

    def __init__(
        self,
        tokenizer: Any = None,
        model: dict[str, Any] | None = None,
        components: dict[str, dict[str, str]] | None = None,
        reader: str | dict[str, Any] = "decord",
        chat_template: Any = None,
        reader_origin: dict[str, dict[str, str]] | None = None,
        text_words: str | None = None,
    ) -> None:
        """Take a tokenizer, and a model's spec as `vlmkit.model.config.describe` gives it.

        `reader` is the component that decodes video files, `reader_origin` where it comes from. `chat_template`
        takes the place of the tokenizer's. `text_words` is the tokenizer of an aligner that reads text, as the content
        of a tokenizer.json.
        """
        self.tokenizer = tokenizer
        if tokenizer is not None:
            tokenizer.padding_side = "left"  # on which pipelines pad a batch that is generated from
        self.model = model or {}
        self.components = components or {}
        self.reader = reader
        self.reader_origin = reader_origin or {}
        self.chat_template = chat_template
        self.text_words = text_words

    def to_dict(self) -> dict[str, Any]:
        """As in transformers; `text_words` only where the aligner reads text."""
        return {key: value for key, value in super().to_dict().items() if key != "text_words" or value is not None}

    @property
    def chat_template(self) -> Any:
        """The tokenizer's chat template, which it is saved with."""
        return getattr(self.tokenizer, "chat_template", None)

    @chat_template.setter
    def chat_template(self, template: Any) -> None:
        if template is not None:
            self.tokenizer.chat_template = template

    @property
    def model_input_names(self) -> list[str]:
        """The names of what a call gives."""
        return ["input_ids", "attention_mask", "pixel_values_videos", "content_box", "frame_mask"]

    def save_pretrained(self, save_directory: Any, **kwargs: Any) -> Any:
        """As in transformers; the files get their checksums in the folder's manifest."""
        with updating_manifest(Path(save_directory)):
            return super().save_pretrained(save_directory, **kwargs)

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
        tools: Any = None,
        documents: Any = None,
        add_generation_prompt: bool = False,
        continue_final_message: bool = False,
        tokenize: bool = False,
        return_dict: bool = False,
        processor_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """As in transformers, with the tokenizer's own chat template.

        Args:
            conversation: messages `{role: …, content: …}`, or a list of such lists; see `read_conversations` for the
                parts that a content may have.
            chat_template: another Jinja template.
            tools: given to the template.
            documents: given to the template.
            add_generation_prompt: end with what begins an answer.
            continue_final_message: end within the last message, so that the model goes on with it.
            tokenize: give what `VideoLM.generate` takes instead of texts.
            return_dict: with `tokenize`, all of it, otherwise only the `input_ids`.
            processor_kwargs: with `tokenize`, options of a call, among them `videos` or `images` for contents that have
                `<video>` in their text.
            kwargs: options of a call too, and what the template is given besides.

        Raises:
            UserError: a message is none, the template refuses the conversation, or videos and texts do not belong
                together.
        """
        conversations, many = read_conversations(conversation)
        calls = {name: value for name, value in kwargs.items() if is_call_option(name)}
        options = {name: value for name, value in kwargs.items() if name not in calls}
        options |= {"tools": tools, "documents": documents}
        for name, value in options.items():
            if value is not None and not re.search(rf"\b{re.escape(name)}\b", str(chat_template or self.chat_template)):
                self._say_once(f"{name} is used neither by the chat template nor by the processor")
        options |= {"add_generation_prompt": add_generation_prompt, "continue_final_message": continue_final_message}
        options["chat_template"] = chat_template
        texts = [render_conversation(self.tokenizer, each.messages, **options) for each in conversations]
        if not tokenize:
            return texts if many else texts[0]
        calls |= processor_kwargs or {}
        given = [*listed_videos(calls.pop("videos", None)), *listed_images(calls.pop("images", None))]
        videos, read = deal_videos(texts, gather_videos(conversations, given)), None
        if (text := self.text_input(sum(map(len, videos)))) is not None:
            placed = [
                place_in_messages(text, each.messages, len(own))
                for each, own in zip(conversations, videos, strict=True)
            ]
            texts = [render_conversation(self.tokenizer, messages, **options) for messages, _ in placed]
            read = [each for _, each in placed]
        features = self._features(texts, videos, calls, read)
        return features if return_dict else features["input_ids"]

    def __call__(
        self,
        text: str | Sequence[str],
        videos: VideoSource | Sequence[VideoSource] | None = None,
        padding_side: Side = "left",
        *,
        images: VideoSource | Sequence[VideoSource] | None = None,
        questions: str | Sequence[str] | None = None,
        **kwargs: Any,
    ) -> BatchFeature:
        """Return the keyword arguments of `VideoLM.generate`.

        Args:
            text: prompts, as `prompt` gives them.
            videos: one for each `<video>` in the texts, in that order: a path, a URL, frames that are sampled already,
                or a fitted video; see `VideoSource`. A single one may stand without a list.
            padding_side: where shorter sequences are padded.
            images: pictures instead of videos, each a video of one frame.
            questions: for an aligner that reads text: what it reads with each text, the question or the instruction.
            kwargs: `padding`, `truncation`, `max_length`, `sampling`, and others of transformers; see
                `CallOptions.read`. The tensors are torch's. Inference engines ask for more; see `engine_inputs`.

        Returns:
            `input_ids`, `attention_mask` (B, S) and, with videos, `pixel_values_videos`, `content_box`, `frame_mask`,
            and `video_rows` where the aligner gives prompts.

        Raises:
            UserError: where texts and videos do not belong together, or a video cannot be read.
        """
        texts = [text] if isinstance(text, str) else text
        if not isinstance(texts, Sequence) or not all(isinstance(each, str) for each in texts):
            raise UserError(f"text: expected a text or a list of texts, found {shown(text)}")
        shown_videos, pictures = listed_videos(videos), listed_images(images)
        if shown_videos and pictures:
            raise UserError("videos, images: expected one of them; give all in one list, in the order of the texts")
        if any(kwargs.get(name) for name in ENGINE_OPTIONS):
            return engine_inputs(self, texts, shown_videos or pictures, **kwargs)
        dealt, asked = self._deal(texts, shown_videos or pictures, questions)
        return self._features(texts, dealt, {"padding_side": padding_side, **kwargs}, asked)

    def _deal(
        self, texts: Sequence[str], videos: Sequence[VideoSource], questions: str | Sequence[str] | None
    ) -> tuple[Sequence[Sequence[VideoSource]], list[list[str]] | None]:
        """Return the videos of each text, and what the aligner reads for each `<video>` of it."""
        dealt = deal_videos(texts, videos)
        text = self.text_input(len(videos))
        if text is None or questions is None:
            return dealt, None
        asked = [questions] if isinstance(questions, str) else list(questions)
        if len(asked) != len(texts):
            raise UserError(f"questions: expected one for each of {len(texts)} texts, found {len(asked)}")
        return dealt, [[text_about(text, each, each)] * len(own) for each, own in zip(asked, dealt, strict=True)]

    def _features(
        self,
        texts: Sequence[str],
        videos: Sequence[Sequence[VideoSource]],
        options: Mapping[str, Any],
        read_texts: Sequence[Sequence[str]] | None,
    ) -> BatchFeature:
        """Return the keyword arguments of the model for texts, each with its videos."""
        read = CallOptions.read(options, self._rule(), self.tokenizer.model_max_length)
        for message in read.not_followed:
            self._say_once(message)
        fitted = [[self.fit(video, sampling=read.sampling) for video in each] for each in videos]
        tokens = self.tokenize(texts, fitted, read_texts)
        tokens = [cut_tokens(item, read.max_length, self.tokenizer.video_token_id) for item in tokens]
        if not read.padding and len(lengths := {len(item.ids) for item in tokens}) > 1:
            raise UserError(f"padding=False: expected texts of one length, found {sorted(lengths)} tokens")
        encoded = self.pad(tokens, read.padding_side, read.length)
        features = {"input_ids": encoded.input_ids, "attention_mask": encoded.attention_mask}
        if present := [video for each in fitted for video in each]:
            features |= to_batch(present, self.aligner.input).model_inputs()
            features |= self.row_inputs(tokens, [len(each) for each in fitted])
        if text := self.text_batch([item.read for item in tokens], [len(each) for each in fitted]):
            features |= text.model_inputs()
        return BatchFeature(features)

    def _rule(self) -> str:
        """Return how the model chooses frames, in words."""
        video = self.aligner.input
        return f"`{video.sampler.type}`, at most {video.frames}"

    @cached_property
    def _said(self) -> set[str]:
        return set()

    def _say_once(self, message: str) -> None:
        """Warn of options that change nothing; a server gives the same ones with each request."""
        if message not in self._said:
            self._said.add(message)
            warnings.warn(message, stacklevel=3)

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
            UserError: it cannot be read, or has another number of frames than the aligner takes.
        """
        fitted = fit_source(video, sampled_input(self.aligner.input, sampling), self._reader, span)
        if sampling is not None:
            self.count_tokens(fitted.shape)
        return fitted

    def _reader(self) -> ReaderSpec:
        """Return the spec of the component that decodes video files. A CheckpointError where its plugin is missing."""
        for key, origin in self.reader_origin.items():
            check_installed(key, origin)
        spec = read_component(ReaderSpec.kind, self.reader, "processor_config.json, `reader`")
        assert isinstance(spec, ReaderSpec)
        return spec
